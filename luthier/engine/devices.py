"""Where and how a network runs: device, precision, memory format, threads. Next: `train`, which asks `choose`."""

import ctypes
import gc
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from luthier.engine import small_maps
from luthier.errors import InvalidTrainingParams, shown
from luthier.runs.cores import available_threads

NO_MEMORY = (  # what torch's allocators, CUDA's libraries and oneDNN say in a plain RuntimeError
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "could not create a primitive",
)


@dataclass(frozen=True)
class Device:
    """`precision` is "bfloat16" (autocast, weights stay float32) or "float32"."""

    torch_device: torch.device
    name: str
    precision: str
    threads: int

    @property
    def kind(self) -> str:
        return self.torch_device.type

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.kind, dtype=torch.bfloat16, enabled=self.precision == "bfloat16")

    def placed(self, network: torch.nn.Module) -> torch.nn.Module:
        """The network on this device; pictures and convolutions run with the channels innermost."""
        network = network.to(self.torch_device)
        if self.kind == "cpu" and self.precision == "bfloat16":
            small_maps.guard(network)
        network.to(memory_format=torch.channels_last)
        return network

    def seed(self, number: int) -> None:
        """Seeds what is drawn on the processor and here.

        torch.manual_seed also notes the seed for every kind of accelerator that is not in use, each with the call's
        stack as text, which takes longer than a step of a small head.
        """
        torch.default_generator.manual_seed(number)
        if self.kind == "cuda":
            torch.cuda.manual_seed(number)
        elif self.kind == "mps":
            torch.mps.manual_seed(number)

    def release_memory(self) -> None:
        """Gives back what allocators keep for later and nobody uses."""
        gc.collect()
        if self.kind == "cuda":
            torch.cuda.empty_cache()
        elif self.kind == "mps":
            torch.mps.empty_cache()
        elif callable(trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # glibc's
            trim(0)


def choose(device: str, threads: int) -> Device:
    """Settles device and threads for this process; raises InvalidTrainingParams for a device that is not here."""
    count = threads or available_threads()
    torch.set_num_threads(count)
    torch_device = torch.device(_best() if device == "auto" else _known(device))
    _settle_determinism(torch_device.type)
    precision = "bfloat16" if _has_bfloat16(torch_device) else "float32"
    return Device(torch_device, _name(torch_device), precision, count)


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively; emulated bfloat16 is slower than float32."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return False
    flags = next((line for line in info.read_text().splitlines() if line.startswith("flags")), "").split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory could not be had, of the machine or of an accelerator."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def peak_memory_mb(device: Device) -> float:
    """The most memory this process has held: of the accelerator where there is one, else of the machine."""
    if device.kind == "cuda":
        return torch.cuda.max_memory_allocated(device.torch_device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _known(device: str) -> str:
    kind, _, number = device.partition(":")
    here = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind in here and (not number or number.isdigit()) and int(number or 0) < here[kind]:
        return device
    present = ", ".join(f"{name} ({count})" for name, count in here.items() if count)
    raise InvalidTrainingParams(f"device is {shown(device)}; this machine has {present}: give one of them or auto")


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({cpu_name()})"


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and cpu_has_bfloat16()


def _settle_determinism(kind: str) -> None:
    """On a processor, equal inputs give equal bytes. An accelerator picks its fastest kernels instead."""
    if kind == "cpu":
        # torch.use_deterministic_algorithms does this and then imports the compiler, which takes two seconds
        torch._C._set_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined] # would cost time
    torch.backends.cudnn.benchmark = kind == "cuda"
