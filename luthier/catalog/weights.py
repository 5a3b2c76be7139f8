"""Pre-trained weights by name: which are needed, where they lie, how they come in. Next: `safetensors_header`.

A name such as `timm/resnet50.a1_in1k` is a folder below the weights folder:

    model.safetensors   the tensors
    config.json         what the source says about them, where it says anything
    tokenizer.json      how texts become tokens, and tokenizer_config.json: of language models
    chat_template.jinja how conversations are written, where a model for chats has it in a file of its own
    weights.json        SHA-256, size and source, as `add` wrote them

A new folder is filled beside its place and moved there when it is whole.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from luthier.catalog.json_object import JsonObject, ModelName
from luthier.catalog.model_type import all_templates
from luthier.catalog.safetensors_header import read_header
from luthier.catalog.safetensors_merge import INDEX_FILE, merged, parts_of
from luthier.catalog.template import Template
from luthier.catalog.vocabulary import NO_WEIGHTS
from luthier.errors import CorruptFile, InvalidRequest, MissingWeights, shown

MODEL_FILE, CONFIG_FILE, RECORD_FILE = "model.safetensors", "config.json", "weights.json"
CHAT_TEMPLATE = "chat_template.jinja"  # a text; the others beside are JSON
LARGEST_BESIDE = {  # bytes
    **{CONFIG_FILE: 2**20, "tokenizer_config.json": 2**20, "tokenizer.json": 64 * 2**20},
    CHAT_TEMPLATE: 2**20,
}
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".pt2", ".mar", ".npy", ".npz", ".h5", ".keras")
OWN_PREFIX = "luthier/"  # networks of ours, whose weights are on no hub
RANDOM_START = {  # by the hyperparameter that a template may have
    "pretrained_weights": f"set pretrained_weights to {NO_WEIGHTS}",
    "custom_config": "give the backbone in custom_config init_cfg=None",
}

Progress = Callable[[int, int], None]  # bytes done, bytes in all


@dataclass(frozen=True)
class AddedWeights:
    """What weights.json records. `tensors` and `bytes` are of model.safetensors."""

    name: str
    sha256: str
    bytes: int
    tensors: int
    source: str


@dataclass(frozen=True)
class NeededWeights:
    """One name that templates start from by default, and whether it is here. `path` is "" where it is not."""

    name: str
    templates: tuple[str, ...]
    here: bool
    path: str
    sha256: str
    on_hub: bool  # whether `luthier weights pull` can fetch it


def folder(weights_dir: Path, name: str) -> Path:
    """Where the weights of that name belong; raises InvalidRequest for a name that is not a safe path."""
    parts = name.split("/")
    if len(name) > 200 or not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", part) for part in parts):
        raise InvalidRequest(
            f"weights are named {shown(name)!r}; give a name like timm/resnet50.a1_in1k: "
            "letters, digits, '_', '.' and '-', parts separated by '/'"
        )
    return weights_dir.joinpath(*parts)


def find(weights_dir: Path, name: str) -> Path | None:
    """The safetensors file of that name, None where it is not here."""
    model = folder(weights_dir, name) / MODEL_FILE
    return model if model.is_file() else None


def require(weights_dir: Path, name: str) -> Path:
    """The same; raises MissingWeights with the commands that bring them."""
    found = find(weights_dir, name)
    if found is None:
        raise MissingWeights(f"{name} is not in the weights folder; {how_to_get(name)}")
    return found


def fetched_when_needed(template: Template, name: str) -> bool:
    """Whether a training may fetch them by itself: never those of a model that only the user has named."""
    objects = [one for one in template.hyperparameters if isinstance(one, JsonObject)]
    named_by_user = any(isinstance(key, ModelName) for one in objects for key in one.all_keys())
    own_choice = not named_by_user or name == template.weights(template.defaults())
    return own_choice and not name.startswith(OWN_PREFIX)


def how_to_get(name: str) -> str:
    """What to do about weights that are not here, in words that follow a semicolon."""
    way = "no hub has them" if name.startswith(OWN_PREFIX) else f"fetch them: luthier weights pull {name}"
    return f"{way}; {how_to_add(name)}"


def how_to_add(name: str) -> str:
    return f"add a file of your own: luthier weights add {name} PATH"


@contextmanager
def or_random_ones(template: Template) -> Iterator[None]:
    """MissingWeights that come out of it say also how `template` starts from random weights, where it can."""
    try:
        yield
    except MissingWeights as error:
        names = {parameter.name for parameter in template.hyperparameters}
        ways = [f"; or {way} to start from random weights" for name, way in RANDOM_START.items() if name in names]
        raise MissingWeights("".join([error.details, *ways])) from error


def assets(weights_dir: Path, name: str) -> list[Path]:
    """The small files beside the tensors that a run keeps a copy of; those that are here."""
    place = folder(weights_dir, name)
    return [place / file for file in (*LARGEST_BESIDE, RECORD_FILE) if (place / file).is_file()]


def record(weights_dir: Path, name: str) -> AddedWeights | None:
    """What was written down when the weights were added, None where nothing was."""
    file = folder(weights_dir, name) / RECORD_FILE
    try:
        return AddedWeights(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise CorruptFile(f"{file} cannot be read ({shown(str(error))}); add the weights again") from None


def needed() -> list[tuple[str, list[str]]]:
    """Names of weights with the templates that start from them by default, in the order of the catalog."""
    names: dict[str, list[str]] = {}
    for template in all_templates():
        name = template.weights(template.defaults())
        if name:
            names.setdefault(name, []).append(template.id)
    return list(names.items())


def status(weights_dir: Path) -> list[NeededWeights]:
    """Every name that a template needs, and whether it is here."""
    return [_status(weights_dir, name, tuple(templates)) for name, templates in needed()]


def _status(weights_dir: Path, name: str, templates: tuple[str, ...]) -> NeededWeights:
    found = find(weights_dir, name)
    written = record(weights_dir, name) if found else None
    return NeededWeights(
        name=name,
        templates=templates,
        here=found is not None,
        path=str(found or ""),
        sha256=written.sha256 if written else "",
        on_hub=not name.startswith(OWN_PREFIX),
    )


# -- adding ------------------------------------------------------------------------------------------------------------


def add(
    weights_dir: Path, name: str, source: Path, *, origin: str = "", progress: Progress = lambda done, size: None
) -> AddedWeights:
    """Copies a safetensors file, or a folder in Hugging Face's layout, to its place, whole or not at all. A model in
    several parts becomes one file.

    `origin` is written down as the source, the path of `source` where it is empty. Raises InvalidRequest for a file
    of another kind, CorruptFile for a damaged one or one that does not fit the network of that name.
    """
    parts, beside = _files_of(source)
    place = folder(weights_dir, name)
    if place.exists() and not (place / MODEL_FILE).is_file():
        raise InvalidRequest(f"{name} is a folder of other weights; give a name like timm/resnet50.a1_in1k")
    tensors = sum(len(read_header(part)) for part in parts)
    with _staging(place) as staging:
        sha256 = _copy(parts, staging / MODEL_FILE, progress)
        for file, data in beside.items():
            _write(staging / file, data)
        check_fit(name, staging / MODEL_FILE)
        size = (staging / MODEL_FILE).stat().st_size
        added = AddedWeights(name, sha256, size, tensors, origin or str(source.resolve()))
        _write(staging / RECORD_FILE, json.dumps(asdict(added), indent=2).encode())
        _put_in_place(staging, place)
    return added


def check_fit(name: str, model: Path) -> None:
    """Raises CorruptFile where the file's tensors are not those of a network that a template uses; other names pass.

    The comparison is the engine's, in a process of its own: this one stays free of it.
    """
    if name not in {template.backbone for template in all_templates() if template.backbone}:
        return
    command = [sys.executable, "-m", "luthier.engine.backbones", "--check", name, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CorruptFile(f"{model.name} could not be compared with {name}: {shown(last, 300)}") from None
    if not answer["ok"]:
        raise CorruptFile(f"the file does not fit {name}: {_differences(answer)}")


def _differences(answer: dict[str, Any]) -> str:
    words = []
    for kind in ("missing", "unexpected", "mismatched"):
        names = answer.get(kind, [])
        if names:
            words.append(f"{len(names)} tensors {kind}, such as {shown(', '.join(names[:3]))}")
    return "; ".join(words) or shown(str(answer.get("details", "it cannot be read")), 300)


def _files_of(source: Path) -> tuple[list[Path], dict[str, bytes]]:
    """The safetensors file or its parts that `source` is or holds, and the bytes of the files beside, by name."""
    if not source.exists():
        raise InvalidRequest(f"{source} does not exist; give a .safetensors file or a folder that holds one")
    parts = _models_in(source) if source.is_dir() else [source]
    for part in parts:
        if part.suffix.lower() != ".safetensors":
            raise InvalidRequest(_refusal(part))
    beside = [source / name for name in LARGEST_BESIDE if (source / name).is_file()] if source.is_dir() else []
    checked = {file.name: (_checked_text if file.name == CHAT_TEMPLATE else _checked_json)(file) for file in beside}
    return parts, checked


def _models_in(source: Path) -> list[Path]:
    found = sorted(source.glob("*.safetensors"))
    if len(found) == 1 and not (source / INDEX_FILE).is_file():
        return found
    if (source / MODEL_FILE).is_file():
        return [source / MODEL_FILE]
    if (source / INDEX_FILE).is_file():
        parts = [source / name for name in parts_of(source / INDEX_FILE)]
        if missing := [part.name for part in parts if not part.is_file()]:
            raise InvalidRequest(f"{source} lacks {', '.join(missing[:3])}, which {INDEX_FILE} names")
        return parts
    if found:
        raise InvalidRequest(f"{source} holds {len(found)} safetensors files and no {MODEL_FILE}; name the one to add")
    unsafe = sorted(path for path in source.iterdir() if path.suffix.lower() in UNSAFE_SUFFIXES)
    raise InvalidRequest(_refusal(unsafe[0]) if unsafe else f"{source} holds no safetensors file")


def _refusal(model: Path) -> str:
    if model.suffix.lower() in UNSAFE_SUFFIXES:
        return (
            f"{model.name} is refused: such a file can run code when it is loaded; "
            "give the .safetensors file of the same model"
        )
    return f"{model.name} is refused: only .safetensors files are taken"


def _checked_text(file: Path) -> bytes:
    largest = LARGEST_BESIDE[file.name]
    try:
        if file.stat().st_size > largest:
            raise ValueError
        data = file.read_bytes()
        data.decode("utf-8")
    except ValueError:
        raise CorruptFile(f"{file} is not readable as UTF-8 of at most {largest} bytes") from None
    return data


def _checked_json(file: Path) -> bytes:
    largest = LARGEST_BESIDE[file.name]
    data = file.read_bytes() if file.stat().st_size <= largest else b""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise CorruptFile(f"{file} is not readable as JSON of at most {largest} bytes") from None
    if not isinstance(content, dict) or "auto_map" in content:
        raise InvalidRequest(f"{file} is refused: it names code to run (auto_map) or is no JSON object")
    return data


@contextmanager
def _staging(place: Path) -> Iterator[Path]:
    """An empty folder beside `place`, removed again unless it was put in place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".adding-", dir=place.parent))
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _copy(parts: Sequence[Path], target: Path, progress: Progress) -> str:
    """Copies, several parts as one file, and returns the SHA-256 of what was written."""
    sha256, done, size = hashlib.sha256(), 0, sum(part.stat().st_size for part in parts)
    with target.open("wb") as writer:
        for block in _blocks(parts[0]) if len(parts) == 1 else merged(parts):
            writer.write(block)
            sha256.update(block)
            done += len(block)
            progress(min(done, size), size)
        writer.flush()
        os.fsync(writer.fileno())
    return sha256.hexdigest()


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as reader:
        while block := reader.read(4 * 1024 * 1024):
            yield block


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(staging: Path, place: Path) -> None:
    """Moves the finished folder to its name; what was there before stays until then."""
    staging.chmod(0o755)
    _sync(staging)
    old = staging.with_name(staging.name + "-old")
    if place.exists():
        place.rename(old)
    staging.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    _sync(place.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
