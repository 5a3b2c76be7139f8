"""ImageFolder: a folder per class, or train/, val/ and test/ with a folder per class in each. Next: `split`, `check`.

Every picture is decoded in full, in helper processes, before it counts. Labels are the folders' names in NFC.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from luthier.data.decode_pool import DecodePool, DecodeResult
from luthier.data.readers.found import ReadResult, Rejected, entries, files_below, name_problem, shown_path
from luthier.data.readers.splitting import SPLIT_NAMES, note_copies, split_examples
from luthier.errors import ImageDecodeError, InvalidRequest, NoTrainingData, shown
from luthier.runs.manifest import Example
from luthier.runs.run import RunConcept

PICTURE_ENDINGS = frozenset({".jpg", ".jpeg", ".jpe", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"})

Progress = Callable[[int, int], None]  # (files checked, files in all)


@dataclass(frozen=True, slots=True)
class LabelledFile:
    path: Path
    concept: str
    split: str  # "" where the folders do not say
    id: str


def read(
    folder: Path,
    test_data: Path | None = None,
    progress: Progress | None = None,
    *,
    seed: int = 0,
    memory_mb: int = 1536,
    seconds: float = 5.0,
) -> ReadResult:
    """Every labelled picture in `folder`, each in a split, in the order of the files' names.

    Without train/ beside val/ or test/, pictures are split 80/10/10 by the hash of their content, alike in every
    class. A split that has no folder is taken out of train/. `test_data`, itself an ImageFolder, replaces the test
    split; classes that only it has are rejected. Copies of a training picture are left out of the other splits.
    Raises InvalidRequest for something that is not such a folder, NoTrainingData where it holds no picture.
    """
    result = ReadResult()
    files = labelled_files(folder, test_data, result)
    with DecodePool(memory_mb, seconds) as pool:
        examples = _checked(files, pool, result, progress)
    if not examples:
        raise NoTrainingData(f"{folder}: none of {len(files)} files is a picture{_first_rejected(result)}")
    labels = {label for example in examples for label in example.labels}
    result.concepts = [RunConcept(name, name) for name in sorted(labels)]
    for name in sorted({file.concept for file in files} - labels):
        result.notes.append(f"class {shown(name)} holds no picture and is left out")
    result.examples = split_examples(examples, result, seed)
    note_copies(result)
    return result


def labelled_files(folder: Path, test_data: Path | None, result: ReadResult) -> list[LabelledFile]:
    """What lies in class folders, whatever it holds; the rest is rejected. Raises NoTrainingData for no file at all."""
    files = _listed(folder, result)
    if test_data is not None:
        files = _with_test_data(files, _listed(test_data, result), result)
    if not files:
        raise NoTrainingData(f"{folder}: there is no file in a class folder{_first_rejected(result)}")
    return files


def drafts(folder: Path, result: ReadResult) -> list[Example]:
    """An example per file in a class folder, nothing opened; pictures that lie beside the class folders have no label.

    Files that are neither pictures nor texts by their ending are examples too: their content will tell.
    """
    root = folder.resolve()
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is not a folder; give one that holds a sub-folder of pictures per class")
    beside = [] if _has_splits(root) else _beside_classes(root)
    listed = _listed(folder, result)
    taken = {file.id for file in beside}
    result.rejected = [one for one in result.rejected if one.path not in taken]
    return [_draft(file) for file in beside + listed]


def _beside_classes(root: Path) -> list[LabelledFile]:
    """Regular files right in the folder, which class folders alone would not hold."""
    files = [entry for entry in entries(root) if not entry.is_dir(follow_symlinks=False)]
    plain = [root / entry.name for entry in files if entry.is_file(follow_symlinks=False)]
    return [LabelledFile(path, "", "", shown_path(path, root)) for path in plain]


def _draft(file: LabelledFile) -> Example:
    labels = {file.concept: 1} if file.concept else {}
    return Example(file.id, "", file.split, labels, path=str(file.path))


def _first_rejected(result: ReadResult) -> str:
    if not result.rejected:
        return ""
    first = result.rejected[0]
    return f" ({len(result.rejected)} entries were rejected, the first is {shown(first.path)}: {first.reason})"


# -- which files there are ---------------------------------------------------------------------------------------------


def _listed(folder: Path, result: ReadResult) -> list[LabelledFile]:
    """Files in class folders; everything else below `folder` is rejected."""
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is not a folder; give one that holds a sub-folder of pictures per class")
    root = folder.resolve()
    if not _has_splits(root):
        return _classes(root, root, "", result)
    files: list[LabelledFile] = []
    for entry in entries(root):
        split = SPLIT_NAMES.get(entry.name.lower())
        if entry.is_dir(follow_symlinks=False) and split:
            files += _classes(root / entry.name, root, split, result)
        else:
            reason = "it lies beside train/, val/ and test/, which alone are read"
            result.rejected.append(Rejected(shown_path(root / entry.name, root), reason))
    return files


def _has_splits(root: Path) -> bool:
    """Whether sub-folders are splits: one called train (or val, test) holds folders and no file of its own.

    A class may be called "train" as well: its folder holds pictures.
    """
    for entry in entries(root):
        if entry.is_dir(follow_symlinks=False) and entry.name.lower() in SPLIT_NAMES:
            inside = entries(root / entry.name)
            if inside and all(below.is_dir(follow_symlinks=False) for below in inside):
                return True
    return False


def _classes(folder: Path, root: Path, split: str, result: ReadResult) -> list[LabelledFile]:
    files: list[LabelledFile] = []
    for entry in entries(folder):
        path, name = folder / entry.name, unicodedata.normalize("NFC", entry.name)
        if not entry.is_dir(follow_symlinks=False):
            result.rejected.append(Rejected(shown_path(path, root), "it is not a folder of a class"))
        elif problem := name_problem(name):
            result.rejected.append(Rejected(shown_path(path, root), problem))
        else:
            inside = list(files_below(path, root, result.rejected))
            files += [LabelledFile(file, name, split, shown_path(file, root)) for file in inside]
            if not inside:
                result.notes.append(f"{shown_path(path, root)} holds no file")
    return files


def _with_test_data(files: list[LabelledFile], other: list[LabelledFile], result: ReadResult) -> list[LabelledFile]:
    """The test split replaced by `other`'s test folder, or by all of it where it has no splits."""
    own = [file for file in files if file.split != "test"]
    if len(own) < len(files):
        result.notes.append(f"the folder's own test split ({len(files) - len(own)} files) is not used: other is named")
    known = {file.concept for file in own}
    for name, count in Counter(file.concept for file in other if file.concept not in known).items():
        result.rejected.append(Rejected(f"{shown(name)}/", f"no training picture has this class ({count} test files)"))
    chosen = [file for file in other if file.split in ("", "test") and file.concept in known]
    return own + [replace(file, split="test", id=f"test-data:{file.id}") for file in chosen]


# -- which of them are pictures ----------------------------------------------------------------------------------------


def _checked(
    files: Sequence[LabelledFile], pool: DecodePool, result: ReadResult, progress: Progress | None
) -> list[Example]:
    """An example per picture, split still as the folders say."""
    examples: list[Example] = []
    checked = pool.check_many([file.path for file in files])
    for number, (file, found) in enumerate(zip(files, checked, strict=True), start=1):
        if not found.ok:
            result.rejected.append(Rejected(file.id, found.details))
        if found.ok or _meant_as_picture(file, found):
            examples.append(_example(file, found))
        if progress and (number % 64 == 0 or number == len(files)):
            progress(number, len(files))
    return examples


def _meant_as_picture(file: LabelledFile, found: DecodeResult) -> bool:
    """A broken picture counts against the tolerance for invalid data; a stray text file does not."""
    return found.code == ImageDecodeError.code or file.path.suffix.lower() in PICTURE_ENDINGS


def _example(file: LabelledFile, found: DecodeResult) -> Example:
    return Example(
        id=file.id,
        blob=found.sha256,
        split=file.split,
        labels={file.concept: 1},
        width=found.width,
        height=found.height,
        path=str(file.path),
        invalid=found.details,
    )
