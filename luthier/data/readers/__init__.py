"""One module per layout of labelled files; `read` finds out which one is there. `imagefolder`: a folder per class.

A layout is a module with `drafts`, which gives examples without blobs; `settle` checks and splits them for all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from luthier.data.readers import (
    coco,
    conll,
    csv,
    imagefolder,
    jsonl,
    label_studio,
    mask_pngs,
    mvtec,
    textfolder,
    voc,
    yolo,
)
from luthier.data.readers.found import ReadResult, entries
from luthier.data.readers.settle import Checking, Progress, settle
from luthier.data.readers.text_files import read_json
from luthier.errors import InvalidRequest, NoTrainingData, shown
from luthier.runs.manifest import Example

TABLES_IN_FOLDERS = ("inputs.csv", "inputs.tsv", "inputs.jsonl")  # as writers call them
LAYOUTS = """\
  .csv or .tsv with the columns text,label or image,label or inputid,input,concepts
  .jsonl with a row per input: label, messages, sharegpt, alpaca or completion
  COCO: a .json file with images, annotations and categories, or a folder with annotations.json or annotations/*.json
  YOLO: data.yaml, or the folder that holds it
  Pascal VOC: a folder with Annotations/ and JPEGImages/
  masks: a folder with images/, masks/ (a PNG per picture) and classes.txt
  MVTec: a folder with train/good, test and ground_truth
  CoNLL: .conll, .iob, .iob2 or .bio with a word and its tag per line, or a folder of them
  Label Studio's JSON export
  a folder of pictures, or of .txt files, with a sub-folder per class"""


@dataclass(frozen=True, slots=True)
class Layout:
    """`drafts` fills a result; `as_given` says that splits which no example names stay empty."""

    name: str
    drafts: Callable[[ReadResult], list[Example]]
    as_given: bool = True


def read(
    path: Path,
    columns: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    *,
    test_data: Path | None = None,
    keep_good: bool = False,
    empty_texts: bool = False,
    seed: int = 0,
    memory_mb: int = 1536,
    seconds: float = 5.0,
) -> ReadResult:
    """Every labelled input of a file or folder, each in a split, in the order in which it stands there.

    `columns` gives our name of a CSV's column or a JSON line's key the file's own: {"image": "file"}. Rows that cannot
    be read are refused with their numbers; with `keep_good` they are listed as rejected instead. With `empty_texts` a
    row without its text is an invalid example. `test_data` is for class folders alone.

    Raises InvalidRequest with the layouts that are known where none fits, NoTrainingData where there is no input.
    """
    layout = recognise(path, columns, keep_good)
    if layout.name == "imagefolder" and textfolder.fits(path):
        return textfolder.read(path, test_data, progress, seed=seed)
    if layout.name == "imagefolder":
        return imagefolder.read(path, test_data, progress, seed=seed, memory_mb=memory_mb, seconds=seconds)
    if test_data is not None:
        raise InvalidRequest(f"other test data is read from class folders only, {path} is {layout.name}")
    result = ReadResult(empty_texts=empty_texts)
    found = layout.drafts(result)
    if not found:
        raise NoTrainingData(f"{path}: there is no input in it")
    return settle(found, result, Checking(progress, memory_mb, seconds), seed=seed, as_given=layout.as_given)


def drafts(path: Path, columns: Mapping[str, str] | None = None, *, keep_good: bool = False) -> ReadResult:
    """What stands in a file or folder, as it stands there: no picture is opened, splits are only those that are told.

    For who decodes and stores each input anyway. Raises InvalidRequest as `read` does.
    """
    result = ReadResult()
    result.examples = recognise(path, columns, keep_good).drafts(result)
    return result


def recognise(path: Path, columns: Mapping[str, str] | None = None, keep_good: bool = False) -> Layout:
    """What `path` is, by its ending or by what the folder holds. Raises InvalidRequest where nothing fits."""
    if not path.exists():
        raise InvalidRequest(f"{path} is not a folder and not a file; there is nothing of this name")
    layout = _folder(path) if path.is_dir() else _file(path, columns, keep_good)
    if columns and layout.name not in ("csv", "jsonl"):
        raise InvalidRequest(f"columns are told for CSV, TSV and JSON lines only, {path} is {layout.name}")
    return layout


def _file(path: Path, columns: Mapping[str, str] | None, keep_good: bool) -> Layout:
    ending = path.suffix.lower()
    if ending in csv.ENDINGS:
        return Layout("csv", lambda result: csv.drafts(path, result, columns, keep_good))
    if ending in jsonl.ENDINGS:
        return Layout("jsonl", lambda result: jsonl.drafts(path, result, columns, keep_good))
    if ending == ".json":
        return _json(path, columns, keep_good)
    if ending in (".yaml", ".yml"):
        return Layout("YOLO", lambda result: yolo.drafts(path, result))
    if ending in conll.ENDINGS:
        return Layout("CoNLL", lambda result: conll.drafts(path, result, keep_good))
    raise _nothing_fits(path, f"the ending {shown(ending) or '(none)'} is not known")


def _json(path: Path, columns: Mapping[str, str] | None, keep_good: bool) -> Layout:
    data = read_json(path)
    if label_studio.fits(data):
        return Layout("Label Studio", lambda result: label_studio.drafts(data, path, result, keep_good))
    if isinstance(data, list):
        return Layout("jsonl", lambda result: jsonl.drafts_of_list(data, path, result, columns, keep_good))
    if coco.fits(data):
        return Layout("COCO", lambda result: coco.drafts(data, path, result))
    raise _nothing_fits(path, "it is JSON of no form that is known")


def _folder(path: Path) -> Layout:
    for name in TABLES_IN_FOLDERS:
        if (path / name).is_file():
            return _file(path / name, None, False)
    if file := yolo.file_in(path):
        return Layout("YOLO", lambda result: yolo.drafts(file, result))
    if voc.fits(path):
        return Layout("Pascal VOC", lambda result: voc.drafts(path, result))
    if coco.files_in(path):
        return Layout("COCO", lambda result: coco.drafts_of_folder(path, result))
    if mvtec.fits(path):
        return Layout("MVTec", lambda result: mvtec.drafts(path, result), as_given=False)
    if mask_pngs.fits(path):
        return Layout("mask PNGs", lambda result: mask_pngs.drafts(path, result))
    if conll.files_in(path):
        return Layout("CoNLL", lambda result: conll.drafts_of_folder(path, result), as_given=False)
    tables = [
        entry.name for entry in entries(path) if Path(entry.name).suffix.lower() in (*csv.ENDINGS, *jsonl.ENDINGS)
    ]
    if tables and not any(entry.is_dir() for entry in entries(path)):
        raise _nothing_fits(path, f"if {shown(tables[0])} tells the labels, give its path instead of the folder's")
    return Layout("imagefolder", lambda result: imagefolder.drafts(path, result))


def _nothing_fits(path: Path, why: str) -> InvalidRequest:
    return InvalidRequest(f"{path} cannot be read: {why}. These are:\n{LAYOUTS}")
