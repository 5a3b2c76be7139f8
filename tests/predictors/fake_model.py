"""Stands in for luthier.engine.predict in tests of the predictors: speaks its frames, does what behaviour.json says."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from luthier.runs.frames import read_frame, write_frame


def main() -> None:
    run, checkpoint = Path(sys.argv[1]), Path(sys.argv[2])
    behaviour = json.loads((run / "behaviour.json").read_text())
    with (run / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(behaviour.get("load_seconds", 0))
    out, into = sys.stdout.buffer, sys.stdin.buffer
    if behaviour.get("refuses"):
        write_frame(out, {"failed": behaviour["refuses"], "code": 21313})
        return
    if behaviour.get("crashes"):
        print(behaviour["crashes"], file=sys.stderr)
        sys.exit(1)
    write_frame(out, {"ready": True, "concepts": [{"id": run.name, "name": run.name}], "device": "cpu"})
    while frame := read_frame(into):
        header, parts = frame
        with (run / "batches").open("a") as file:
            file.write(f"{len(parts)}\n")
        time.sleep(behaviour.get("seconds", 0))
        if b"kill" in parts:
            os.kill(os.getpid(), signal.SIGKILL)
        if b"hang" in parts:
            time.sleep(60)
        outputs = [_output(part, behaviour, checkpoint) for part in parts]
        write_frame(out, {"outputs": [{**output, "options": header["options"]} for output in outputs]})


def _output(part: bytes, behaviour: dict, checkpoint: Path) -> dict:
    if part == b"bad":
        return {"error": 47104, "details": "file ends early at byte 3"}
    return {"values": [float(behaviour.get("answer", 0)), float(len(part))], "checkpoint": checkpoint.name}


if __name__ == "__main__":
    main()
