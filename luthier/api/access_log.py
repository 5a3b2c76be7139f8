"""One line per call, and how the server's log looks. Nothing from outside stands in it unescaped, and no secret.

Each call is counted for `metrics` too. Next: `server`.
"""

import json
import logging
import re
import sys
import time
from typing import Any

from luthier.api.metrics import CALLS
from luthier.errors import shown

calls = logging.getLogger("luthier.access")

_SECRETS = re.compile(r"""(luth_pat_|[?&](?:sig|key|token|access_token|api_key|pat)=)[^\s\\"'&<>]+""")
_LINE = "%s %s caller=%s from=%s %s status=%d code=%d %s ms"
_FIELDS = ("req_id", "rpc", "caller", "address", "transport", "status", "code", "ms")


def line(
    *, req_id: str, rpc: str, caller: str, address: str, transport: str, status: int, code: int, started: float
) -> None:
    """`started` is time.perf_counter() of the call's arrival; `rpc` is its name, or verb and path without the query."""
    seconds = time.perf_counter() - started
    CALLS.count(rpc, transport, status, code, seconds)
    if not calls.isEnabledFor(logging.INFO):
        return
    ms = round(seconds * 1000, 1)
    values = (req_id, shown(rpc, 200), shown(caller) or "-", address, transport, status, code, ms)
    calls.handle(logging.LogRecord(calls.name, logging.INFO, "", 0, _LINE, values, None))  # info() looks for its caller


class TextFormatter(logging.Formatter):
    """`time level logger text`; further lines (tracebacks) are indented, so that no text can forge a line."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return masked("\n    ".join(super().format(record).splitlines()))


class JsonFormatter(logging.Formatter):
    """One JSON object per line; a call's fields stand by themselves."""

    def format(self, record: logging.LogRecord) -> str:
        shape: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "logger": record.name,
        }
        if record.name == calls.name and isinstance(record.args, tuple) and len(record.args) == len(_FIELDS):
            shape.update(zip(_FIELDS, record.args, strict=True))
        else:
            shape["message"] = record.getMessage()
        if record.exc_info:
            shape["traceback"] = self.formatException(record.exc_info)
        return masked(json.dumps(shape))


def masked(text: str) -> str:
    """Without tokens and signatures: a path that leads nowhere or another program's message may hold one."""
    return _SECRETS.sub(r"\1***", text)


def configure(log_format: str) -> None:
    """Log to standard error, as text or (log_format "json") as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
