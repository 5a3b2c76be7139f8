"""What this worker trains on, as the engine says. Estimates are kept per device. Next: `calibration_job`."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from luthier.runs import launch
from luthier.runs.cores import available_threads

DOCTOR = "luthier.engine.doctor"
DOCTOR_SECONDS = 120.0
LONGEST = 128  # characters that the table holds


def device_key(name: str, threads: int) -> str:
    """The name under which costs are kept: an accelerator's own, a processor's with the threads that are used."""
    if not name.startswith("cpu"):
        return name[:LONGEST]
    suffix = f"/{threads or available_threads()}"
    return name[: LONGEST - len(suffix)] + suffix


def device_kind(name: str) -> str:
    """cpu, mps or cuda; an accelerator is named by its maker."""
    return next((kind for kind in ("cpu", "mps") if name.startswith(kind)), "cuda")


def image_size_of(values: Mapping[str, Any]) -> int:
    """Pixels, as calibrations are kept by: the first of a list of sides; 0 for templates without pictures."""
    size = values.get("image_size", 0)
    return int(size[0] if isinstance(size, list | tuple) else size)


def ask_engine() -> str:
    """The name of the device that trainings take; raises OSError, SubprocessError or ValueError."""
    answer = subprocess.run(
        [sys.executable, "-P", "-m", DOCTOR],
        env=launch.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DOCTOR_SECONDS,
        check=True,
    )
    found = json.loads(answer.stdout)["devices"]
    chosen, processor = found[-1], found[0]
    kind = str(chosen["id"])
    return str(chosen["name"]) if kind.startswith("cuda") else f"{kind} ({processor['name']})"
