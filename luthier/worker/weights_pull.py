"""Fetches pre-trained weights from the Hugging Face hub: safetensors, JSON, chat templates. Next: `catalog/weights`.

Needs the extra `hub`. Where there is no network, no such model or no permission, the error says so and names the
command that adds weights by hand.
"""

import tempfile
from pathlib import Path
from typing import Any, Self

from luthier.catalog import weights
from luthier.catalog.safetensors_merge import INDEX_FILE, parts_of
from luthier.catalog.weights import AddedWeights, Progress
from luthier.errors import CorruptFile, MissingWeights, shown

TEMPORARY_PREFIX = ".pulling-"
HUB_SECONDS = 15.0  # until the hub's first answer


def pull(
    weights_dir: Path,
    name: str,
    token: str | None = None,
    *,
    offline: bool = False,
    progress: Progress = lambda done, size: None,
) -> AddedWeights:
    """Downloads the model `name` of the hub, checks it and puts it in the weights folder, whole or not at all.

    `token` is a hub token for gated models, else HF_TOKEN counts. Raises MissingWeights where it cannot be fetched, and
    what `weights.add` raises for a file that is damaged or does not fit.
    """
    weights.folder(weights_dir, name)  # refuses a name that is no name before anything is asked of the hub
    if name.startswith(weights.OWN_PREFIX):
        raise _missing(name, "no hub has them")
    if offline:
        raise _missing(name, "Luthier is set to work offline (LUTHIER_OFFLINE)")
    weights_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=weights_dir) as temporary:
        source = Path(temporary) / "files"
        origin = _download(name, source, token, progress)
        return weights.add(weights_dir, name, source, origin=origin)


def _download(name: str, target: Path, token: str | None, progress: Progress) -> str:
    """Puts model.safetensors, or its parts, and the small files beside into `target`; returns address and revision."""
    try:
        import huggingface_hub as hub  # an extra, and slow to import
        from huggingface_hub import errors
    except ImportError:
        raise _missing(name, "the package huggingface_hub is not installed (pip install 'luthier[hub]')") from None
    address = hub.hf_hub_url(name, weights.MODEL_FILE)
    try:
        revision, whole = _asked(hub, errors, name, token)
        wanted: dict[str, Any] = {"revision": revision, "local_dir": target, "token": token}
        if whole:
            hub.hf_hub_download(name, weights.MODEL_FILE, tqdm_class=_bar_class(progress), **wanted)
        else:
            index = Path(hub.hf_hub_download(name, INDEX_FILE, **wanted))
            for part in parts_of(index):
                hub.hf_hub_download(name, part, tqdm_class=_bar_class(progress), **wanted)
        for file in weights.LARGEST_BESIDE:
            _download_if_there(hub, errors, name, file, wanted)
    except errors.GatedRepoError:
        raise _missing(name, "the hub gives them only to who accepted their licence; set HF_TOKEN") from None
    except errors.RepositoryNotFoundError:
        raise _missing(name, "the hub has no such model, or it is private") from None
    except errors.EntryNotFoundError:
        raise _missing(name, f"the hub's model has no {weights.MODEL_FILE}") from None
    except CorruptFile:
        raise
    except Exception as error:  # the client's HTTP library changes with its version, and so does what it raises
        raise _missing(name, f"the hub cannot be reached ({_first_line(error)})") from error
    return f"{address.partition('/resolve/')[0]}@{revision}"


def _asked(hub: Any, errors: Any, name: str, token: str | None) -> tuple[str, bool]:
    """The model's revision, and whether its tensors lie in one file; raises what the hub's client does."""
    for file in (weights.MODEL_FILE, INDEX_FILE):
        try:
            found = hub.get_hf_file_metadata(hub.hf_hub_url(name, file), token=token, timeout=HUB_SECONDS)
            return str(found.commit_hash), file == weights.MODEL_FILE
        except errors.EntryNotFoundError:
            if file == INDEX_FILE:
                raise
    raise AssertionError("one of both has returned")


def _download_if_there(hub: Any, errors: Any, name: str, file: str, wanted: dict[str, Any]) -> None:
    """Most of them are optional: networks for pictures are known by name. Who needs one says so when it is missing."""
    try:
        hub.hf_hub_download(name, file, tqdm_class=_bar_class(lambda done, size: None), **wanted)
    except errors.EntryNotFoundError:
        return


def _bar_class(progress: Progress) -> type:
    """What the hub's client takes for a progress bar: it passes on what it is told and prints nothing."""

    class Bar:
        def __init__(self, *args: Any, total: float | None = None, initial: float = 0, **keywords: Any) -> None:
            self.total, self.n = total, initial

        def update(self, amount: float | None = 1) -> None:
            self.n += amount or 0
            progress(int(self.n), int(self.total or 0))

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *error: object) -> None:
            self.close()

        def close(self) -> None: ...

        def refresh(self, *args: Any, **keywords: Any) -> None: ...

    return Bar


def _first_line(error: Exception) -> str:
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0], 200)


def _missing(name: str, why: str) -> MissingWeights:
    return MissingWeights(f"{name} cannot be fetched: {why}; {weights.how_to_add(name)}")
