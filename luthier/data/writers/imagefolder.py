"""ImageFolder: a folder per split, in it a folder per class, in it the pictures."""

from collections.abc import Iterable
from pathlib import Path

from luthier.data.readers.found import name_problem
from luthier.data.writers.pictures import Names, put, require_empty, source_of, usable
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import Example


def write(folder: Path, examples: Iterable[Example], blob_folder: Path | None = None) -> int:
    """Copies pictures into the empty `folder`; returns how many.

    Raises InvalidRequest unless every example has one positive label and nothing else: a folder can say no more.
    """
    rows = list(usable(examples))
    classes = [_class_of(example) for example in rows]
    require_empty(folder)
    names = Names()
    for example, name in zip(rows, classes, strict=True):
        source = source_of(example, blob_folder)
        put(source, folder, names.of(example, source, example.split, name))
    return len(rows)


def _class_of(example: Example) -> str:
    if list(example.labels.values()) != [1] or example.regions:
        held = f"{len(example.labels)} labels and {len(example.regions)} regions"
        raise InvalidRequest(
            f"{shown(example.id)} has {held}; in class folders a picture has one positive label: write JSON lines"
        )
    (name,) = example.labels
    if problem := name_problem(name) or ("its name begins with a dot" if name.startswith(".") else ""):
        raise InvalidRequest(f"the concept {shown(name)} cannot be a folder: {problem}")
    return name
