"""What the engine finds on this machine, as JSON on standard output. `luthier doctor` shows it. Next: `devices`."""

import json
import sys
from importlib import metadata
from typing import Any

import torch

from luthier.engine.devices import cpu_has_bfloat16, cpu_name
from luthier.runs.cores import available_threads


def findings() -> dict[str, Any]:
    """`bf16`: whether trainings here run in bfloat16, which takes hardware that multiplies it natively."""
    devices = list(_devices())
    return {
        "torch": torch.__version__,
        "timm": metadata.version("timm"),  # importing it takes seconds
        "python": sys.version.split()[0],
        "devices": devices,
        "default_device": devices[-1]["id"],
        "bf16": devices[-1]["bf16"],
        "threads": available_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _devices() -> list[dict[str, Any]]:
    """The processor first, the one that trainings take by default last."""
    found: list[dict[str, Any]] = [{"id": "cpu", "name": cpu_name(), "bf16": cpu_has_bfloat16(), "memory_mb": 0}]
    if torch.backends.mps.is_available():
        found.append({"id": "mps", "name": "Apple GPU", "bf16": False, "memory_mb": 0})
    for number in reversed(range(torch.cuda.device_count() if torch.cuda.is_available() else 0)):
        properties = torch.cuda.get_device_properties(number)
        found.append(
            {
                "id": f"cuda:{number}",
                "name": properties.name,
                "bf16": (properties.major, properties.minor) >= (8, 0),
                "memory_mb": properties.total_memory // 2**20,
            }
        )
    return found


if __name__ == "__main__":
    json.dump(findings(), sys.stdout)
