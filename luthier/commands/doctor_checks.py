"""What `luthier doctor` looks at: one function per subject, each giving findings with a verdict and a remedy."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from luthier.catalog import weights as catalog_weights
from luthier.commands import file_systems
from luthier.errors import InvalidSettings
from luthier.settings import Settings
from luthier.store.database import Database

ENGINE_SECONDS = 120.0
ROOMY_MB = 5 * 1024  # free space above which nothing need be said


class Verdict(StrEnum):
    OK = "ok"  # as it should be
    WARN = "warn"  # works, but slower, or not for everything
    FAIL = "fail"  # something that the platform needs does not work


@dataclass(frozen=True)
class Finding:
    subject: str
    verdict: Verdict
    says: str
    remedy: str = ""


Check = Callable[[Settings], Iterator[Finding]]


def engine(settings: Settings) -> Iterator[Finding]:
    """torch, the devices and bf16, asked of a process of the engine: this one never imports torch."""
    facts = _engine_facts()
    if "error" in facts:
        remedy = "install Luthier again: pip install -c constraints.txt -e ."
        yield Finding("torch", Verdict.FAIL, str(facts["error"]), remedy)
        return
    yield Finding("torch", Verdict.OK, f"{facts['torch']}, {facts['threads']} threads")
    yield _devices(facts["devices"])
    yield _bf16(facts["devices"])


def _engine_facts() -> dict[str, Any]:
    arguments = [sys.executable, "-m", "luthier.engine.doctor"]
    try:
        answer = subprocess.run(arguments, capture_output=True, text=True, timeout=ENGINE_SECONDS)
    except subprocess.TimeoutExpired:
        return {"error": f"torch did not start within {ENGINE_SECONDS:.0f} s"}
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or [f"ended with status {answer.returncode}"]
        return {"error": lines[-1]}
    facts: dict[str, Any] = json.loads(answer.stdout.strip().splitlines()[-1])
    return facts


def _devices(devices: list[dict[str, Any]]) -> Finding:
    names = [f"{device['name']} ({device['id']}{_memory(device)})" for device in devices]
    if any(device["id"] != "cpu" for device in devices):
        return Finding("devices", Verdict.OK, ", ".join(names))
    remedy = "small models train well on a processor; large ones want an NVIDIA or Apple accelerator"
    return Finding("devices", Verdict.WARN, f"{names[0]}, no accelerator", remedy)


def _memory(device: dict[str, Any]) -> str:
    return f", {device['memory_mb'] / 1024:.0f} GB" if device.get("memory_mb") else ""


def _bf16(devices: list[dict[str, Any]]) -> Finding:
    """The default device, which trainings take, stands last."""
    name = devices[-1]["name"]
    if devices[-1]["bf16"]:
        return Finding("bf16", Verdict.OK, f"native on {name}")
    remedy = "training runs in float32: right, but about three times slower than on a device that has it"
    return Finding("bf16", Verdict.WARN, f"not native on {name}", remedy)


def weights(settings: Settings) -> Iterator[Finding]:
    """Which of the pre-trained weights that templates need are here."""
    folder = settings.weights_folder
    needed = [name for name, _templates in catalog_weights.needed()]
    here = [name for name in needed if catalog_weights.find(folder, name)]
    says = f"{len(here)} of {len(needed)} in {folder}"
    if len(here) == len(needed):
        yield Finding("weights", Verdict.OK, says)
    else:
        remedy = "`luthier weights list` names them, `luthier weights pull NAME` fetches one; random weights need none"
        yield Finding("weights", Verdict.WARN, says, remedy)


def disk(settings: Settings) -> Iterator[Finding]:
    """Free space where the data folder is, against the reserve below which uploads are refused."""
    usage = shutil.disk_usage(file_systems.nearest_existing(settings.data_dir))
    free_mb = usage.free // 2**20
    says = f"{free_mb / 1024:.1f} GB free of {usage.total / 2**30:.0f} GB at {settings.data_dir.absolute()}"
    remedy = f"free some, or set LUTHIER_DATA_DIR to a larger disk (reserve: {settings.disk_reserve_mb} MB)"
    if free_mb < settings.disk_reserve_mb:
        yield Finding("disk", Verdict.FAIL, says, "uploads and checkpoints are refused; " + remedy)
    elif free_mb < max(ROOMY_MB, settings.disk_reserve_mb):
        yield Finding("disk", Verdict.WARN, says, remedy)
    else:
        yield Finding("disk", Verdict.OK, says)


def file_system(settings: Settings) -> Iterator[Finding]:
    """Whether the data folder can be written to, and may hold an SQLite database where there is no other."""
    kind = file_systems.kind_of(settings.data_dir)
    if file_systems.is_network(kind) and not settings.database_url:
        yield Finding("file system", Verdict.FAIL, *file_systems.network_refusal(settings.data_dir, kind))
        return
    refused = file_systems.try_writing(settings.data_dir)
    if refused:
        remedy = "give the user who runs luthier write access, or set LUTHIER_DATA_DIR"
        yield Finding("file system", Verdict.FAIL, refused, remedy)
    else:
        yield Finding("file system", Verdict.OK, f"{kind or 'local'}, writable")


def database(settings: Settings) -> Iterator[Finding]:
    """Whether PostgreSQL answers, where it is used."""
    if not settings.database_url:
        yield Finding("database", Verdict.OK, "SQLite in the data folder")
        return
    try:
        opened = Database.of(settings)
        opened.require_reachable()
    except InvalidSettings as error:
        yield Finding("database", Verdict.FAIL, error.details, "docs/how-to/serve.md says how to set PostgreSQL up")
        return
    yield Finding("database", Verdict.OK, f"{opened.where} answers")
    opened.close()


def listening(settings: Settings) -> Iterator[Finding]:
    """Which addresses reach beyond this machine."""
    addresses = [settings.http_address, settings.grpc_address, settings.grpc_tls_address]
    beyond = [address for address in addresses if not is_loopback(address)]
    if beyond:
        remedy = "tokens cross the network in the clear on the plain ones; use the TLS listener or a proxy with TLS"
        yield Finding("addresses", Verdict.WARN, f"{', '.join(beyond)} reach beyond this machine", remedy)
    else:
        yield Finding("addresses", Verdict.OK, f"{', '.join(addresses)}, this machine only")


def is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host in ("localhost", "::1") or host.startswith("127.")


def python(settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield Finding("python", Verdict.OK, f"{version}, {os.cpu_count()} cores")
    else:
        yield Finding("python", Verdict.WARN, f"{version} is not tried", "use CPython 3.11, 3.12 or 3.13")


CHECKS: tuple[Check, ...] = (python, engine, weights, disk, file_system, database, listening)


def findings(settings: Settings) -> Iterator[Finding]:
    for check in CHECKS:
        yield from check(settings)
