"""`luthier predict`: asks a run's best checkpoint about pictures or texts, through the platform's own model process."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from luthier.catalog.model_type import input_kind_of
from luthier.commands.command_line import FAILED
from luthier.commands.drawing import is_drawable, save_drawn
from luthier.errors import InvalidRequest, PredictionFailed
from luthier.predictors.model_process import SERVED, ModelProcess, ModelProcessDied
from luthier.runs.run import RunConcept, RunFolder

PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
TEXTS = {".txt"}
BATCH = 32  # files sent to the model process at a time


@click.command("predict")
@click.option("--model", "model", required=True, type=click.Path(path_type=Path), metavar="RUN", help="A run folder.")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="How many classes or regions to name per file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line and file, for programs.")
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FOLDER", help="Draw what was found, a PNG per picture."
)
@click.option(
    "--least", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="Draw what is at least that certain."
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
def command(model: Path, top: int, as_json: bool, save: Path | None, least: float, files: tuple[Path, ...]) -> int:
    """Ask a trained model about pictures or texts.

    RUN is the folder that `luthier train` wrote. A FILE may be a folder: every picture in it is asked about, or
    every .txt file where the model reads texts. - is what stands on standard input.
    The exit status is 1 where any file could not be read.

    \b
    luthier predict --model runs/luthier_tiny_resnet-20260101-120000 cat.jpg photos/
    luthier predict --model runs/boxes --save drawn/ photos/
    echo "a puzzle with cards" | luthier predict --model runs/luthier_minilm-20260101-120000 -
    """
    run = trained_run(model)
    spec = run.spec()
    kind = input_kind_of(spec.model_type, spec.template)
    inputs = list(_inputs(files, kind))
    concepts = run.spec().concepts
    failed = 0
    used: set[str] = set()  # names of pictures that were saved
    try:
        with _loaded(run) as process:
            for batch in _batches(inputs):
                for file, answer in _ask(process, kind, batch):
                    failed += "error" in answer
                    if save and is_drawable(answer):
                        save_drawn(save, used, file, answer, concepts, least)
                    click.echo((_json_line if as_json else _line)(file, answer, concepts, top))
    except ModelProcessDied as error:
        raise PredictionFailed(str(error)) from error
    return FAILED if failed else 0


def trained_run(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    if not run.spec_file.exists():
        raise InvalidRequest(f"--model {folder}: there is no run in this folder (it holds no run.json)")
    if not (folder / SERVED).is_dir():
        raise InvalidRequest(f"--model {folder}: the run has no checkpoint yet; go on: luthier train --resume {folder}")
    return run


@contextmanager
def _loaded(run: RunFolder) -> Iterator[ModelProcess]:
    """The model's process, loaded; a word on a terminal while that takes its seconds."""
    out = Console(stderr=True)
    with ExitStack() as stack:
        with out.status("Loading the model …") if out.is_terminal else nullcontext():
            process = stack.enter_context(ModelProcess(run.path.absolute(), SERVED))
        yield process


def _inputs(files: Sequence[Path], kind: str) -> Iterator[Path]:
    name, endings = ("text", TEXTS) if kind == "text" else ("picture", PICTURES)
    for file in files:
        if not file.is_dir():
            yield file
            continue
        found = sorted(path for path in file.rglob("*") if path.suffix.lower() in endings and path.is_file())
        if not found:
            raise InvalidRequest(f"{file}: no {name} in this folder ({', '.join(sorted(endings))})")
        yield from found


def _batches(files: Sequence[Path]) -> Iterator[list[Path]]:
    left = iter(files)
    while batch := list(islice(left, BATCH)):
        yield batch


def _ask(process: ModelProcess, kind: str, files: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each file with its answer, in order; one that cannot be opened gets an error as one that cannot be decoded."""
    contents = [_read(file) for file in files]
    readable = [content for content in contents if isinstance(content, bytes)]
    answers = iter(process.predict(kind, readable) if readable else [])
    for file, content in zip(files, contents, strict=True):
        yield file, next(answers) if isinstance(content, bytes) else {"error": 30300, "details": content}


def _read(file: Path) -> bytes | str:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        return error.strerror or str(error)


def _ranked(answer: dict[str, Any], concepts: Sequence[RunConcept], top: int) -> list[tuple[RunConcept, float]]:
    pairs = zip(concepts, answer["values"], strict=True)
    return sorted(pairs, key=lambda pair: pair[1], reverse=True)[:top]


def _line(file: Path, answer: dict[str, Any], concepts: Sequence[RunConcept], top: int) -> str:
    if "error" in answer:
        return f"{file}: {click.style('not predicted', fg='red')}: {answer['details']}"
    if "text" in answer:
        return f"{file}: {answer['text']}"
    if "embedding" in answer:
        start = ", ".join(f"{value:.3f}" for value in answer["embedding"][:4])
        return f"{file}: a vector of {len(answer['embedding'])} numbers, {start}, …"
    if "clusters" in answer:
        return f"{file}: " + ", ".join(f"cluster {one['id']} {one['value']:.3f}" for one in answer["clusters"])
    if "regions" in answer:
        return "\n".join([f"{file}: {len(answer['regions'])} found", *_region_lines(answer, concepts, top)])
    return f"{file}: " + ", ".join(f"{concept.name} {value:.3f}" for concept, value in _ranked(answer, concepts, top))


def _region_lines(answer: dict[str, Any], concepts: Sequence[RunConcept], top: int) -> list[str]:
    """The best regions, a box as left, top, right, bottom in fractions of the picture."""
    lines = []
    for one in answer["regions"][:top]:
        place = " at " + ", ".join(f"{side:.3f}" for side in one["box"]) if "box" in one else ""
        lines.append(f"  {concepts[one['concept']].name} {one['value']:.3f}{place}")
    return lines


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def _json_line(file: Path, answer: dict[str, Any], concepts: Sequence[RunConcept], top: int) -> str:
    row: dict[str, Any] = {"file": str(file)}
    if "error" in answer:
        row |= {"error": answer["details"], "code": answer["error"]}
    elif "text" in answer:
        row |= {name: answer[name] for name in ("text", "tokens", "finish")}
    elif simple := next((name for name in ("embedding", "clusters") if name in answer), ""):
        row[simple] = answer[simple]
    elif "regions" in answer:
        row["regions"] = [
            {"id": concepts[one["concept"]].id, "name": concepts[one["concept"]].name, **_without(one, "concept")}
            for one in answer["regions"]
        ]
    else:
        ranked = _ranked(answer, concepts, top)
        row["concepts"] = [{"id": concept.id, "name": concept.name, "value": value} for concept, value in ranked]
    if "heatmap" in answer:
        row["heatmap"] = answer["heatmap"]
    return json.dumps(row, ensure_ascii=False)
