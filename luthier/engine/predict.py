"""Predictor: load once, answer batches. `python -m luthier.engine.predict RUN CHECKPOINT` answers frames on its pipes.

First out: {"ready": true, "concepts": [...], "device": ...} or {"failed": details, "code": n}. Then for each frame in,
{"kind": "image", "options": {…}} with encoded files as parts, one out: {"outputs": [...]}, for each file one of

    {"values": [a float per concept]}: a classifier
    {"values": as above, "heatmap": grey PNG in base64}: an anomaly model, 128 at its threshold
    {"regions": [{"concept": its place, "value": float, "box": [left, top, right, bottom]}]}: a detector, fractions
    {"regions": [{"concept": its place, "value": float, "mask": PNG in base64, of its size}]}: a segmenter
    {"embedding": [floats, of length 1 together]}: an embedder
    {"text": …, "tokens": how many, "finish": "end" | "stop" | "length"}: a text generator
    {"clusters": [{"id": text, "value": float, 1 at its centre, "count": its training examples}]}: a clusterer
    {"error": code, "details": text}
"""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from luthier.engine.devices import choose
from luthier.engine.evaluate import NOT_FINITE, all_finite, load_served, predict_batch
from luthier.engine.recipe import Answer, Encoded, TakesOptions
from luthier.errors import LuthierError, PredictionFailed, UnsupportedFormat, shown
from luthier.runs.frames import read_frame, write_frame
from luthier.runs.manifest import Example
from luthier.runs.run import RunFolder

UNLABELLED = Example(id="", blob="", split="")
LARGEST_BATCH = 64


class Predictor:
    """A checkpoint in memory. Raises CorruptFile where it is damaged."""

    def __init__(self, run: RunFolder, checkpoint: Path) -> None:
        self.spec = run.spec()
        self.device = choose(self.spec.device, self.spec.threads)
        self.recipe, self.network = load_served(self.spec, checkpoint, self.device)

    def answer(self, kind: str, files: list[bytes], options: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """What the module's docstring says, for each file, in order."""
        outputs = [self._encoded(kind, data, options or {}) for data in files]
        answers = iter(self._answers([one for one in outputs if "error" not in one]))
        return [one if "error" in one else next(answers) for one in outputs]

    def _encoded(self, kind: str, data: bytes, options: Mapping[str, Any]) -> dict[str, Any]:
        try:
            if kind != self.recipe.input_kind:
                raise UnsupportedFormat(f"the input is {shown(kind)}; this model takes {self.recipe.input_kind}")
            if isinstance(self.recipe, TakesOptions):
                return dict(self.recipe.encode_prompt(data, options))
            return dict(self.recipe.encode(data, UNLABELLED))
        except LuthierError as error:
            return {"error": error.code, "details": str(error)}

    def _answers(self, encoded: list[Encoded]) -> list[Answer]:
        answers: list[Answer] = []
        for start in range(0, len(encoded), LARGEST_BATCH):
            batch = self.recipe.collate(encoded[start : start + LARGEST_BATCH])
            predicted = predict_batch(self.recipe, self.network, self.device, batch)
            if all_finite(predicted):
                answers += self.recipe.answers(predicted, batch)
            else:
                answers += [{"error": PredictionFailed.code, "details": NOT_FINITE}] * len(next(iter(batch.values())))
        return answers


def serve(run: RunFolder, checkpoint: Path, requests: BinaryIO, answers: BinaryIO) -> int:
    """Answers until the other side closes; the exit code."""
    try:
        predictor = Predictor(run, checkpoint)
    except Exception as error:
        code = error.code if isinstance(error, LuthierError) else PredictionFailed.code
        write_frame(answers, {"failed": str(error) or type(error).__name__, "code": code})
        return 1
    concepts = [asdict(concept) for concept in predictor.spec.concepts]
    write_frame(answers, {"ready": True, "concepts": concepts, "device": predictor.device.name})
    while (frame := read_frame(requests)) is not None:
        header, files = frame
        kind, options = str(header.get("kind", "")), header.get("options", {})
        write_frame(answers, {"outputs": _outputs(predictor, kind, files, options)})
    return 0


def _outputs(predictor: Predictor, kind: str, files: list[bytes], options: Mapping[str, Any]) -> list[dict[str, Any]]:
    try:
        return predictor.answer(kind, files, options)
    except (RuntimeError, IndexError) as error:  # of torch: out of memory and the like; the process lives on
        print(f"prediction failed: {error}", file=sys.stderr, flush=True)
        return [{"error": PredictionFailed.code, "details": f"{type(error).__name__}: {error}"}] * len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer predictions of one checkpoint on standard input and output.")
    parser.add_argument("run", type=Path)
    parser.add_argument("checkpoint", type=Path)
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the frames
    code = serve(RunFolder(given.run), given.checkpoint, sys.stdin.buffer, answers)
    answers.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
