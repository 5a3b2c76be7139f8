"""Training speed: Luthier's loop beside Hugging Face Trainer and a bare loop; `--start`: time to the first step.

All in one run, on the same backbone, pictures and augmentation (horizontal flips). Figures of one machine compare
with each other, not with another machine's.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

PICTURES = 64
BARE_START = """
import time
begin = time.perf_counter()
import torch, timm
network = timm.create_model("{network}", num_classes=2)
optimizer = torch.optim.AdamW(network.parameters())
loss = torch.nn.functional.cross_entropy(network(torch.randn({batch}, 3, {size}, {size})), torch.zeros({batch}).long())
loss.backward()
optimizer.step()
print(time.perf_counter() - begin)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", default="resnet50")
    parser.add_argument("--size", type=int, default=224, help="pixels")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6, help="measured steps of each loop, one more warms up")
    parser.add_argument("--start", action="store_true", help="measure process start to first step instead")
    given = parser.parse_args()
    describe_machine()
    start(given) if given.start else speed(given)


def describe_machine() -> None:
    import torch

    from luthier.engine.devices import available_threads, cpu_has_bfloat16, cpu_name

    print(f"{cpu_name()}, {available_threads()} cores, torch {torch.__version__}")
    if cpu_has_bfloat16():
        print("This processor has native bf16.")
    else:
        print(
            "This processor has NO native bf16: Luthier trains in float32 here, and the targets for bf16 do not apply."
        )


# -- images per second -------------------------------------------------------------------------------------------------


def speed(given: argparse.Namespace) -> None:
    from luthier.engine.devices import cpu_has_bfloat16

    native = cpu_has_bfloat16()
    loops: dict[str, Callable[[], float]] = {
        f"bare loop, channels_last, {'bf16' if native else 'fp32'}, tensors in memory": lambda: bare(given, native),
        "Luthier": lambda: luthier(given),
        "Trainer fp32 (its default)": lambda: trainer(given, bf16=False),
    }
    if native:
        loops["Trainer bf16"] = lambda: trainer(given, bf16=True)
    rates = {}
    for name, loop in loops.items():
        rates[name] = given.batch / loop()
        print(f"{rates[name]:8.2f} images/s  {name}", flush=True)
    for name, rate in rates.items():
        if name != "Luthier":
            print(f"Luthier is {rates['Luthier'] / rate:.2f} x {name}")


def bare(given: argparse.Namespace, bf16: bool) -> float:
    """Median seconds per step."""
    import timm
    import torch

    network = timm.create_model(given.network, num_classes=2).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters())
    images = torch.randn(given.batch, 3, given.size, given.size).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(given.batch, dtype=torch.long)
    times = []
    for _ in range(given.steps + 1):
        began = time.perf_counter()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.cross_entropy(network(images).float(), labels)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:]))


def luthier(given: argparse.Namespace) -> float:
    """Median seconds per step of the real engine, in its own process, from files to weights."""
    from luthier.runs.run import RunFolder

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder) / "run")
        prepare_run(run.path, given, steps=given.steps + 4)
        run_engine(run.path)
        finished = [json.loads(line) for line in run.events_file.read_text().splitlines()][-1]
        return float(finished["steady_seconds_per_step"])


def trainer(given: argparse.Namespace, bf16: bool) -> float:
    """Median seconds per step of transformers' Trainer on the same files, decoded as its examples do, with Pillow."""
    import timm
    import torch
    from transformers import Trainer, TrainerCallback, TrainingArguments

    class Wrapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = timm.create_model(given.network, num_classes=2)

        def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = self.network(pixel_values)
            return {"loss": torch.nn.functional.cross_entropy(logits.float(), labels), "logits": logits}

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            self.times.append(time.perf_counter())

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=given.batch,
            max_steps=given.steps + 2,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            logging_strategy="no",
            use_cpu=True,
            bf16=bf16,
            remove_unused_columns=False,
        )
        examples = TrainerPictures(given.size)
        Trainer(model=Wrapped(), args=arguments, train_dataset=examples, callbacks=[clock]).train()
    return float(np.median(np.diff(clock.times)))


class TrainerPictures:
    """A map-style data set: decode, resize, flip, normalise."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.files = [jpeg(number) for number in range(PICTURES)]

    def __len__(self) -> int:
        return len(self.files) * 1000

    def __getitem__(self, index: int) -> dict[str, Any]:
        import torch
        from PIL import Image

        picture = Image.open(io.BytesIO(self.files[index % len(self.files)]), formats=["JPEG"]).convert("RGB")
        values = np.asarray(picture.resize((self.size, self.size)), dtype=np.float32).transpose(2, 0, 1) / 255
        values = (values - 0.45) / 0.225
        flipped = values[:, :, ::-1] if torch.rand(()) < 0.5 else values
        return {"pixel_values": torch.from_numpy(flipped.copy()), "labels": index % 2}


# -- start -------------------------------------------------------------------------------------------------------------


def start(given: argparse.Namespace) -> None:
    """Process start to the end of the first step, Luthier's engine against a bare process; the best of three each."""
    program = BARE_START.format(network=given.network, batch=given.batch, size=given.size)
    bare_seconds = min(timed(lambda: subprocess.run([sys.executable, "-c", program], check=True)) for _ in range(3))
    engine_seconds = min(first_step(given) for _ in range(3))
    ratio = engine_seconds / bare_seconds
    print(f"bare process: {bare_seconds:.2f} s; Luthier's engine: {engine_seconds:.2f} s, {ratio:.2f} x")


def first_step(given: argparse.Namespace) -> float:
    """Seconds from start until the first StepDone is written."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        prepare_run(run, given, steps=3)
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-m", "luthier.engine.train", str(run)], stdout=subprocess.DEVNULL
        ) as engine:
            events = run / "events.jsonl"
            while not (events.exists() and '"StepDone"' in events.read_text()):
                time.sleep(0.01)
            seconds = time.perf_counter() - began
            engine.wait()
        return seconds


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


# -- material ----------------------------------------------------------------------------------------------------------


def jpeg(number: int) -> bytes:
    """A picture of 500 x 375 pixels with smooth content, as a photo would have."""
    from PIL import Image

    coarse = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def prepare_run(folder: Path, given: argparse.Namespace, steps: int) -> None:
    from luthier.catalog.plan import ImagePlan
    from luthier.runs.manifest import Example
    from luthier.runs.prepare import prepare
    from luthier.runs.run import RunConcept, RunSpec

    pictures = folder.parent / "pictures"
    pictures.mkdir(parents=True)
    examples = []
    for number in range(max(PICTURES, given.batch)):
        file = pictures / f"{number}.jpg"
        file.write_bytes(jpeg(number))
        examples.append(Example(str(number), f"{number:064x}", "train", {str(number % 2): 1}, path=str(file)))
    plan = ImagePlan(
        epochs=1,
        batch_size=given.batch,
        learning_rate=1e-3,
        examples_per_epoch=given.batch * steps,
        image_size=given.size,
        flip_probability=0.5,
    )
    spec = RunSpec(
        run="benchmark",
        model_type="visual-classifier",
        template="benchmark",
        recipe="image_classification",
        backbone=f"timm/{given.network}",
        weights="",
        hyperparameters={},
        plan=asdict(plan),
        concepts=(RunConcept("0", "0"), RunConcept("1", "1")),
        seed=0,
        device="cpu",
    )
    prepare(folder, spec, examples)


def run_engine(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "luthier.engine.train", str(folder)], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
