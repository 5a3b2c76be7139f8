"""The process that reads one configuration: little memory, little time, no files. Next: `evaluator`; `read` starts it.

The text comes by standard input; one JSON object goes out: {"config", "given", "unread", "bases"} or {"error": text}.
"""

import json
import sys
from contextlib import suppress
from typing import Any

from luthier.catalog.own_config.bases import lookup
from luthier.catalog.own_config.evaluator import evaluate
from luthier.catalog.own_config.limits import RefusedError, check_size
from luthier.catalog.own_config.merging import merged

MEMORY_MB, SECONDS = 512, 1  # of computing


def answer(text: str, toolbox: str) -> dict[str, Any]:
    """`config` is the effective one; `given` are the names that the text sets, `unread` those that it never reads."""
    try:
        found = evaluate(text, lambda names: lookup(toolbox, names))
        check_size(found.names)
        config = merged(found.names, lookup(toolbox, found.bases))
    except RefusedError as error:
        return {"error": str(error)}
    except RecursionError:
        return {"error": "it is nested too deeply"}
    except MemoryError:
        return {"error": f"it needs more than {MEMORY_MB} MiB of memory"}
    return {"config": config, "given": sorted(found.names), "unread": found.unread, "bases": found.bases}


def limit() -> None:
    """As far as the operating system knows such limits; elsewhere `read` ends a process that takes too long."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MB << 20, MEMORY_MB << 20))


def main(toolbox: str) -> None:
    limit()
    text = sys.stdin.buffer.read().decode("utf-8")
    sys.stdout.write(json.dumps(answer(text, toolbox)))
