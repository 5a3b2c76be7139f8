"""MVTec AD: train/good, test/good, test/DEFECT and ground_truth/DEFECT/a_mask.png. Next: `mask_pngs`.

A picture's label is the name of its folder; a defect's mask is a region of that concept. Paper: Bergmann et al.,
"MVTec AD", CVPR 2019. There is no validation split: a tenth of train becomes it.
"""

from dataclasses import replace
from pathlib import Path

from luthier.data.readers.files import PICTURE_ENDINGS
from luthier.data.readers.found import ReadResult, Rejected, entries, files_below, name_problem, shown_path
from luthier.data.readers.mask_pngs import binary_mask
from luthier.errors import LuthierError, shown
from luthier.runs.manifest import Example

TRUTH, GOOD = "ground_truth", "good"


def fits(folder: Path) -> bool:
    return (folder / TRUTH).is_dir() and (folder / "train" / GOOD).is_dir()


def drafts(folder: Path, result: ReadResult) -> list[Example]:
    """An example per picture, in the order of the files; one with a broken mask is invalid."""
    root, examples = folder.resolve(), []
    for split in ("train", "test"):
        for entry in entries(root / split) if (root / split).is_dir() else ():
            place = root / split / entry.name
            if not entry.is_dir(follow_symlinks=False) or name_problem(entry.name):
                reason = name_problem(entry.name) or "it is not a folder of a class"
                result.rejected.append(Rejected(shown_path(place, root), reason))
                continue
            files = files_below(place, root, result.rejected)
            examples += [_example(file, root, split, entry.name) for file in files if _is_picture(file)]
    return examples


def _is_picture(file: Path) -> bool:
    return file.suffix.lower() in PICTURE_ENDINGS


def _example(file: Path, root: Path, split: str, concept: str) -> Example:
    example = Example(shown_path(file, root), "", split, {concept: 1}, path=str(file))
    if concept == GOOD:
        return example
    mask = root / TRUTH / concept / f"{file.stem}_mask.png"
    try:
        region = binary_mask(mask, root, concept)
    except LuthierError as error:
        return replace(example, invalid=f"{TRUTH}/{shown(concept)}/{shown(mask.name)}: {error.details}")
    return replace(example, width=region.runs[0], height=region.runs[1], regions=(region,))
