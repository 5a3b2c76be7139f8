"""The process that decodes files that nobody has vouched for: memory-limited, killed when it takes too long.

`python -m luthier.data.decode_helper --memory-mb N` reads JSON lines {"path": …, "mask": …} and answers each with a
line of DecodeResult's fields, in order. It ends with its standard input. Next: `decode_pool`, which starts it.
"""

import argparse
import hashlib
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from luthier.data.decode import examine
from luthier.data.mask_png import runs_of_png
from luthier.errors import ImageDecodeError, LuthierError


def limit_memory(megabytes: int) -> bool:
    """Whether the operating system took the limit (macOS does not); then the time limit alone protects."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        return True
    return False


def answer(path: Path, mask: bool = False) -> dict[str, Any]:
    """What `DecodeResult` holds, for the file at `path`; only a crash of the process keeps this from returning."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return _failed(ImageDecodeError.code, f"the file cannot be read: {error.strerror}")
    except MemoryError:
        return _failed(ImageDecodeError.code, "the file is larger than the decoder's memory")
    try:
        found = {"ok": True, **(_mask(data) if mask else asdict(examine(data)))}
    except LuthierError as error:
        found = _failed(error.code, error.details)
    return {**found, "sha256": hashlib.sha256(data).hexdigest()}


def _mask(data: bytes) -> dict[str, Any]:
    runs = runs_of_png(data)
    return {"width": runs[0], "height": runs[1], "format": "PNG", "runs": runs}


def _failed(code: int, details: str) -> dict[str, Any]:
    return {"ok": False, "code": code, "details": details}


def main() -> None:
    parser = argparse.ArgumentParser(description="Decodes picture files under a memory limit; driven by decode_pool.")
    parser.add_argument("--memory-mb", type=int, required=True)
    limit_memory(parser.parse_args().memory_mb)
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        sys.stdout.write(json.dumps(answer(Path(asked["path"]), asked["mask"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
