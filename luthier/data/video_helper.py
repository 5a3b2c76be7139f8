"""The process that decodes one video that nobody has vouched for: memory-limited, killed when it takes too long.

`python -m luthier.data.video_helper FILE --sample-ms N --memory-mb M` writes frames (`runs/frames`): for each sample
{"index", "time_ms", "number"} with the picture as a BMP, which costs no time to write or read, or without a part where
it is the one before; then {"end": true}, or {"error": code, "details": text}. Next: `predictors/videos`, which asks.
"""

import argparse
import io
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from luthier.data.decode_helper import limit_memory
from luthier.data.pixels import Pixels
from luthier.data.video import sampled
from luthier.errors import LuthierError, VideoDecodeError
from luthier.runs.frames import write_frame


def answer(path: Path, sample_ms: int, out: BinaryIO) -> None:
    """What the module's docstring says; only a crash of the process keeps this from returning."""
    try:
        for one in sampled(path, sample_ms):
            parts = [] if one.pixels is None else [_bmp(one.pixels)]
            write_frame(out, {"index": one.index, "time_ms": one.time_ms, "number": one.number}, parts)
    except LuthierError as error:
        write_frame(out, {"error": error.code, "details": error.details})
    except MemoryError:
        write_frame(out, {"error": VideoDecodeError.code, "details": "decoding needs more memory than there is"})
    else:
        write_frame(out, {"end": True})


def _bmp(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "BMP")
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Decodes a video under a memory limit; driven by the predictors.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--sample-ms", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True)
    given = parser.parse_args()
    limit_memory(given.memory_mb)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the frames
    with suppress(BrokenPipeError):  # nobody waits any more
        answer(given.file, given.sample_ms, out)
        out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
