"""Folders of .txt files, one per class, or train/, val/ and test/ with a folder per class in each. Next: `imagefolder`.

Each file is one text, UTF-8; the folders are read as those of pictures are.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from luthier.data.readers.files import looks_like_picture
from luthier.data.readers.found import ReadResult, Rejected, entries
from luthier.data.readers.imagefolder import LabelledFile, labelled_files
from luthier.data.readers.settle import Checking, Progress, settle
from luthier.data.readers.text_files import read_text
from luthier.errors import InvalidRequest, NoTrainingData, shown
from luthier.runs.manifest import Example

ENDING = ".txt"


def fits(folder: Path) -> bool:
    """Whether there are texts below the sub-folders of `folder` and no pictures."""
    found = False
    for name in _names_below(folder, depth=0):
        if looks_like_picture(name):
            return False
        found = found or name.lower().endswith(ENDING)
    return found


def read(folder: Path, test_data: Path | None = None, progress: Progress | None = None, *, seed: int = 0) -> ReadResult:
    """Every labelled text, each in a split, in the order of the files' names; splits are made as for pictures.

    A file that is no UTF-8 counts as invalid. Raises NoTrainingData where there is no .txt file in a class folder.
    """
    result = ReadResult()
    files = labelled_files(folder, test_data, result)
    texts = [file for file in files if file.path.suffix.lower() == ENDING]
    others = [file for file in files if file.path.suffix.lower() != ENDING]
    result.rejected += [Rejected(file.id, f"it is no {ENDING} file") for file in others]
    if not texts:
        raise NoTrainingData(f"{folder}: there is no {ENDING} file in a class folder")
    settle([_example(file) for file in texts], result, Checking(progress), seed=seed, as_given=False)
    return result


def _example(file: LabelledFile) -> Example:
    example = Example(file.id, "", file.split, {file.concept: 1})
    try:
        return replace(example, text=read_text(file.path))
    except InvalidRequest as error:
        return replace(example, invalid=error.details.replace(str(file.path), shown(file.id), 1))


def _names_below(folder: Path, depth: int) -> Iterator[str]:
    """Of files, those right in `folder` left out; links are not followed."""
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _names_below(folder / entry.name, depth + 1)
        elif depth:
            yield entry.name
