"""What a reader found, made whole: pictures decoded in full, texts hashed, every example in a split. Next: `splitting`.

Readers give examples without blobs. An annotation speaks of the upright picture; where it tells another size than
the picture has, its fractions would be wrong, so the example cannot be used.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from luthier.data.decode_pool import DecodePool, DecodeResult
from luthier.data.readers.found import ReadResult, Rejected
from luthier.data.readers.splitting import note_copies, split_examples
from luthier.errors import shown
from luthier.runs.manifest import Example, text_bytes
from luthier.runs.run import RunConcept

EMPTY_TEXT = "the text is empty"
Progress = Callable[[int, int], None]  # (files checked, files in all)


@dataclass(frozen=True, slots=True)
class Checking:
    """How pictures are checked; `memory_mb` and `seconds` bound the decoding of one."""

    progress: Progress | None = None
    memory_mb: int = 1536
    seconds: float = 5.0


def settle(
    found: Sequence[Example], result: ReadResult, checking: Checking, *, seed: int = 0, as_given: bool = True
) -> ReadResult:
    """Fills `result` with `found`, checked and split; concepts that the reader did not declare are added by name."""
    checked = _checked(found, checking)
    result.rejected += [Rejected(shown(example.id), example.invalid) for example in checked if example.invalid]
    result.examples = split_examples(checked, result, seed, as_given=as_given)
    _add_concepts(checked, result)
    note_copies(result)
    return result


def _checked(found: Sequence[Example], checking: Checking) -> list[Example]:
    files = [example for example in found if example.path and not example.invalid]
    answers: dict[int, DecodeResult] = {}
    if files:
        with DecodePool(checking.memory_mb, checking.seconds) as pool:
            results = pool.check_many([Path(example.path) for example in files])
            for done, (example, answer) in enumerate(zip(files, results, strict=True), start=1):
                answers[id(example)] = answer
                if checking.progress and (done % 64 == 0 or done == len(files)):
                    checking.progress(done, len(files))
    return [_picture(example, answers[id(example)]) if id(example) in answers else _text(example) for example in found]


def _picture(example: Example, answer: DecodeResult) -> Example:
    told, size = (example.width, example.height), (answer.width, answer.height)
    invalid = answer.details
    if answer.ok and 0 not in told and told != size:
        invalid = f"its annotation is for {told[0]}x{told[1]} pixels, the upright picture has {size[0]}x{size[1]}"
    return replace(example, blob=answer.sha256, width=answer.width, height=answer.height, invalid=invalid)


def _text(example: Example) -> Example:
    if example.invalid:
        return example
    content = text_bytes(example)
    invalid = "" if example.messages or example.text.strip() else EMPTY_TEXT
    return replace(example, blob=hashlib.sha256(content).hexdigest(), invalid=invalid)


def _add_concepts(examples: Sequence[Example], result: ReadResult) -> None:
    known = {concept.id for concept in result.concepts}
    labels = {label for example in examples for label in example.labels}
    labels |= {region.concept for example in examples for region in example.regions}
    result.concepts += [RunConcept(name, name) for name in sorted(labels - known)]
