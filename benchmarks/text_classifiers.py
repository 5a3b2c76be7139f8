"""Text classifiers beside each other on real texts: Luthier's, Hugging Face's Trainer, a frozen encoder with logistic
regression. All from the same MiniLM in the same run. Next: `text_sets`, `quality`, which prints the table.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import text_sets
from luthier.catalog import weights
from luthier.catalog.model_type import find_template
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunConcept, RunSpec
from luthier.worker import transfer_bases

WEIGHTS = "sentence-transformers/all-MiniLM-L6-v2"
TRAINER_RATE = "2e-4"  # the library's own 5e-5 is little for so few steps
SIDE_BY_SIDE = {"num_epochs": 2, "batch_size": 32}


@dataclass(frozen=True)
class Texts:
    train: text_sets.Labelled
    test: text_sets.Labelled

    @property
    def subjects(self) -> list[str]:
        return sorted({subject for _, subject in self.train})


def examples_of(texts: Texts) -> list[Example]:
    rows = [Example(f"train-{n}", "", "train", {subject: 1}, text=t) for n, (t, subject) in enumerate(texts.train)]
    return rows + [Example(f"test-{n}", "", "test", {subject: 1}, text=t) for n, (t, subject) in enumerate(texts.test)]


def luthier(
    model_type: str, template: str, texts: Texts, weights_dir: Path, seed: int, given: dict[str, Any]
) -> dict[str, float]:
    """Trained by the engine in a process of its own: the test split's metrics."""
    chosen = find_template(model_type, template)
    values = chosen.checked({"concepts_mutually_exclusive": True, **given})
    with tempfile.TemporaryDirectory() as place:
        spec = RunSpec(
            run="run", model_type=model_type, template=chosen.id, recipe=chosen.recipe, backbone=chosen.backbone,
            weights=WEIGHTS, hyperparameters=values, plan=asdict(chosen.plan_for(values)),
            concepts=tuple(RunConcept(name, name) for name in texts.subjects), seed=seed, device="cpu",
            weights_folder=str(weights_dir),
            base=transfer_bases.pretrained(chosen.embedder, weights_dir) if chosen.embedder else {},
        )  # fmt: skip
        beside = weights.assets(weights_dir, WEIGHTS)
        run = prepare(Path(place) / "run", spec, examples_of(texts), beside)
        command = [sys.executable, "-m", "luthier.engine.train", str(run.path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {name: run.report()["metrics"]["test"][name] for name in ("accuracy", "macro_f1")}


def alone(program: str, texts: Texts, weights_dir: Path, seed: int, *arguments: str) -> dict[str, float]:
    """One of ALONE, in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "texts.json"
        file.write_text(json.dumps({"train": texts.train, "test": texts.test}), encoding="utf-8")
        encoder = str(weights.folder(weights_dir, WEIGHTS))
        command = [sys.executable, "-c", ALONE[program], str(file), encoder, str(seed), *arguments, place]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


EMBED = """
import sys, json
import torch
from transformers import AutoModel, AutoTokenizer
data = json.load(open(sys.argv[1])); torch.manual_seed(int(sys.argv[3]))
tokenizer, model = AutoTokenizer.from_pretrained(sys.argv[2]), AutoModel.from_pretrained(sys.argv[2]).eval()
def embed(texts):
    order = sorted(range(len(texts)), key=lambda i: len(texts[i])); out = [None] * len(texts)
    with torch.inference_mode():
        for start in range(0, len(order), 64):
            some = order[start : start + 64]
            batch = tokenizer([texts[i] for i in some], padding=True, truncation=True, return_tensors="pt")
            hidden = model(**batch).last_hidden_state; mask = batch["attention_mask"].unsqueeze(-1)
            rows = torch.nn.functional.normalize((hidden * mask).sum(1), dim=1)
            for place, row in zip(some, rows): out[place] = row.numpy()
    return out
train, test = embed([t for t, _ in data["train"]]), embed([t for t, _ in data["test"]])
"""
ALONE = {  # what runs in a process of its own: program, given as arguments the texts' file, the encoder, the seed
    "embed": EMBED + "print(json.dumps({}))",
    "frozen": EMBED
    + """
from sklearn.linear_model import LogisticRegressionCV
best = LogisticRegressionCV(Cs=[1, 3, 10, 30], cv=3, max_iter=1000).fit(train, [s for _, s in data["train"]])
print(json.dumps({"accuracy": best.score(test, [s for _, s in data["test"]])}))
""",
    "trainer": """
import sys, json
import numpy as np
from luthier.engine.devices import cpu_has_bfloat16
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer,
                          TrainingArguments, set_seed)
set_seed(int(sys.argv[3]))
data = json.load(open(sys.argv[1])); subjects = sorted({s for _, s in data["train"]})
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[2], num_labels=len(subjects))
def rows(split):
    return [{**tokenizer(t, truncation=True, max_length=128), "labels": subjects.index(s)} for t, s in data[split]]
arguments = TrainingArguments(
    output_dir=sys.argv[5], num_train_epochs=2, per_device_train_batch_size=32, per_device_eval_batch_size=64,
    learning_rate=float(sys.argv[4]), seed=int(sys.argv[3]), save_strategy="no", report_to=[], disable_tqdm=True,
    use_cpu=True, logging_strategy="no", bf16=cpu_has_bfloat16(),
)
trainer = Trainer(model, arguments, train_dataset=rows("train"), data_collator=DataCollatorWithPadding(tokenizer))
trainer.train()
predicted = trainer.predict(rows("test")).predictions.argmax(1)
accuracy = float(np.mean(predicted == [subjects.index(s) for _, s in data["test"]]))
print(json.dumps({"accuracy": accuracy}))
""",
}


def measured(name: str, weights_dir: Path, seed: int) -> list[tuple[str, dict[str, float], float, float]]:
    """What it is, its metrics, and the wall clock and processor seconds of its process, on the set of that name."""
    texts = Texts(*text_sets.of(name, seed))
    runs: dict[str, Callable[[], dict[str, float]]] = {
        "MiniLM's embeddings alone": lambda: alone("embed", texts, weights_dir, seed),
        "frozen MiniLM, logistic regression": lambda: alone("frozen", texts, weights_dir, seed),
        "embedding-classifier": lambda: luthier(
            "embedding-classifier", "luthier_text_transfer", texts, weights_dir, seed, {}
        ),
        "Trainer, 2 epochs": lambda: alone("trainer", texts, weights_dir, seed, TRAINER_RATE),
        "luthier_minilm, 2 epochs": lambda: luthier(
            "text-classifier", "luthier_minilm", texts, weights_dir, seed, SIDE_BY_SIDE
        ),
        "luthier_minilm": lambda: luthier("text-classifier", "luthier_minilm", texts, weights_dir, seed, {}),
    }
    return [(what, *_timed(run)) for what, run in runs.items()]


def _timed(run: Callable[[], dict[str, float]]) -> tuple[dict[str, float], float, float]:
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    metrics = run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return metrics, time.monotonic() - began, own
