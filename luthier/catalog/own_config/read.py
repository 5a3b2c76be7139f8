"""Reads a user's configuration, in a process of its own: nothing of it is executed, and it can take nothing with it.

Next: `child`, the other side; `section`, by which the templates look at what was read.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.catalog.own_config.bases import lookup
from luthier.catalog.own_config.child import MEMORY_MB, SECONDS
from luthier.errors import InvalidTrainingParams, TryAgain

NAME = "train_info.params.custom_config"
PACKAGE = Path(__file__).resolve().parents[3]
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from luthier.catalog.own_config.child import main; main(sys.argv[2])"
)
EXAMPLES = {
    "mmdetection": "/mmdetection/configs/yolof/yolof_r50_c5_8x8_1x_coco.py",
    "mmclassification": "/mmclassification/configs/resnext/resnext101-32x4d_8xb32_in1k.py",
    "mmsegmentation": "/mmsegmentation/configs/segformer/segformer_mit-b0_512x512_160k_ade20k.py",
}
LONGEST_MESSAGE = 500  # characters
LONGEST_WAIT = 20.0  # seconds, for a machine that has much else to do
READERS = threading.BoundedSemaphore(2)  # processes at the same time: each may take MEMORY_MB and a processor


@dataclass(frozen=True)
class OwnConfig:
    """`config` is what holds in the end, `base` what `_base_` says of it. `given`: names that the text sets; `unread`
    are those of them that nothing in the text reads."""

    config: Mapping[str, Any]
    base: Mapping[str, Any]
    given: frozenset[str]
    unread: frozenset[str]


def read(text: str, toolbox: str) -> OwnConfig:
    """Raises InvalidTrainingParams with the line, what was found there and what is allowed; TryAgain where the machine
    is too busy."""
    answer = _answer(text, toolbox)
    if "error" in answer:
        why = answer["error"].encode("ascii", "backslashreplace").decode()  # it may quote a user's names
        raise InvalidTrainingParams(f"{NAME}: {why[:LONGEST_MESSAGE]}{'…' if len(why) > LONGEST_MESSAGE else ''}")
    if not answer["bases"]:
        raise InvalidTrainingParams(
            f"{NAME} has no _base_; give the name of a configuration to build upon, as _base_ = {EXAMPLES[toolbox]!r}"
        )
    base = json.loads(json.dumps(lookup(toolbox, answer["bases"])))  # lists for tuples, as in the answer
    return OwnConfig(answer["config"], base, frozenset(answer["given"]), frozenset(answer["unread"]))


def _answer(text: str, toolbox: str) -> dict[str, Any]:
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(PACKAGE), toolbox]
    try:
        with READERS:
            done = subprocess.run(
                command, input=text.encode(), capture_output=True, env={}, timeout=LONGEST_WAIT, check=False
            )
    except subprocess.TimeoutExpired:
        # where there are limits, they would have ended it long before, had it had its turn
        why = f"{NAME} was not read within {LONGEST_WAIT:g} s"
        raise TryAgain(f"{why}; try again when this machine has less to do, or make it shorter") from None
    if done.returncode < 0 or b"MemoryError" in done.stderr:
        return {"error": f"reading it takes more than {SECONDS} s or {MEMORY_MB} MiB of memory; make it shorter"}
    if done.returncode:
        raise RuntimeError(f"the reader of configurations ended with {done.returncode}: {done.stderr.decode()[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
