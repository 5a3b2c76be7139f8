"""Examples and a spec -> a run folder that the engine can start from. Next: `launch`."""

import os
from collections.abc import Iterable
from pathlib import Path

from luthier.runs.manifest import Example, write_manifest
from luthier.runs.run import RunFolder, RunSpec


def prepare(folder: Path, spec: RunSpec, examples: Iterable[Example]) -> RunFolder:
    """Writes manifest.jsonl and run.json into `folder`; a folder that already holds a run is left as it is.

    run.json is written last and by rename, so a folder with one is complete: a worker that takes a job over
    finds either a run to go on with or nothing.
    """
    run = RunFolder(folder)
    if run.spec_file.exists():
        return run
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(run.manifest_file, examples)
    temporary = folder / "run.json.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        file.write(spec.to_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(run.spec_file)
    return run
