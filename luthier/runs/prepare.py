"""Examples and a spec -> a run folder that the engine can start from. Next: `launch`."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from luthier.runs.manifest import Example, write_manifest
from luthier.runs.run import RunFolder, RunSpec


def prepare(folder: Path, spec: RunSpec, examples: Iterable[Example], assets: Sequence[Path] = ()) -> RunFolder:
    """Writes manifest.jsonl and run.json into `folder`; a folder that already holds a run is left as it is.

    `assets` are small files of the base model, as its tokenizer, that the run keeps a copy of.

    run.json is written last and by rename, so a folder with one is complete: a worker that takes a job over
    finds either a run to go on with or nothing.
    """
    run = RunFolder(folder)
    if run.spec_file.exists():
        return run
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(run.manifest_file, examples)
    spec = replace(spec, assets=_keep(run.assets, assets), assets_folder="")
    temporary = folder / "run.json.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(spec.to_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(run.spec_file)
    return run


def _keep(folder: Path, assets: Sequence[Path]) -> dict[str, str]:
    """Copies the files into `folder`; their names and SHA-256."""
    if assets:
        folder.mkdir(exist_ok=True)
    kept = {}
    for source in assets:
        data = source.read_bytes()
        with (folder / source.name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        kept[source.name] = hashlib.sha256(data).hexdigest()
    return kept
