"""What a user would write without Luthier, for measuring beside it: torchvision's detector, Hugging Face's Trainer.

Next: `quality`, which runs them.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.pictures import SCENE_CONCEPTS, Scene, scenes
from luthier.engine.devices import cpu_has_bfloat16
from luthier.engine.recipes.object_detection import DetectionJudge


def main() -> None:
    """Prints the metrics as JSON; a process of its own, so that its time holds all that a user would wait for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="classifier: a folder of GROUP-NUMBER-SPLIT.png")
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    print(json.dumps(RECIPES[given.recipe](given)))


# -- detector ----------------------------------------------------------------------------------------------------------


def faster_rcnn(given: argparse.Namespace) -> dict[str, float]:
    """torchvision's Faster R-CNN MobileNet 320 from random weights, five epochs."""
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as build

    network = build(weights=None, weights_backbone=None, num_classes=len(SCENE_CONCEPTS) + 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4)
    learnt, asked = scenes(240, given.seed, unseen=False), scenes(60, given.seed, unseen=True)
    for _ in range(5):
        order = torch.randperm(len(learnt)).tolist()
        for start in range(0, len(order), 4):
            some = [learnt[place] for place in order[start : start + 4]]
            losses = network([tensor_of(one) for one in some], [target_of(one) for one in some])
            optimizer.zero_grad()
            sum(losses.values()).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10)
            optimizer.step()
    return judged(network.eval(), asked)


def judged(network: torch.nn.Module, asked: Sequence[Scene]) -> dict[str, float]:
    """By the judge that judges Luthier's detectors."""
    judge = DetectionJudge(list(SCENE_CONCEPTS))
    with torch.no_grad():
        for one in asked:
            found, truth = network([tensor_of(one)])[0], target_of(one)
            judge.add(
                {"boxes": found["boxes"][None], "values": found["scores"][None], "concepts": found["labels"][None] - 1},
                {"boxes": truth["boxes"][None], "concepts": truth["labels"][None] - 1},
            )
    return judge.scores().metrics


def tensor_of(one: Scene) -> torch.Tensor:
    return torch.from_numpy(one.pixels).permute(2, 0, 1).float() / 255


def target_of(one: Scene) -> dict[str, torch.Tensor]:
    labels = [SCENE_CONCEPTS.index(concept) + 1 for concept in one.concepts]
    return {"boxes": torch.tensor(one.boxes, dtype=torch.float32).view(-1, 4), "labels": torch.tensor(labels).long()}


# -- classifier --------------------------------------------------------------------------------------------------------


def trainer(given: argparse.Namespace) -> dict[str, float]:
    """ResNet-18 from random weights at 128 pixels, 15 epochs, batch 32, by Hugging Face's Trainer."""
    import timm
    from transformers import Trainer, TrainingArguments

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = timm.create_model("resnet18", num_classes=len(groups))

        def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            logits = self.network(pixel_values)
            return {"loss": torch.nn.functional.cross_entropy(logits.float(), labels), "logits": logits}

    files = sorted(given.pictures.glob("*.png"))
    groups = sorted({file.stem.split("-")[0] for file in files})
    train, test = (Files([f for f in files if f.stem.endswith(split)], groups) for split in ("train", "test"))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=15, per_device_train_batch_size=32, per_device_eval_batch_size=32,
            learning_rate=1e-3, seed=given.seed, save_strategy="no", report_to=[], disable_tqdm=True,
            logging_strategy="no", use_cpu=True, bf16=cpu_has_bfloat16(), remove_unused_columns=False,
        )  # fmt: skip
        made = Trainer(model=Classifier(), args=arguments, train_dataset=train)
        made.train()
        predicted = made.predict(test)
    return {"accuracy": float(np.mean(predicted.predictions.argmax(1) == predicted.label_ids))}


def one_pass(given: argparse.Namespace) -> dict[str, float]:
    """ResNet-18 asked once about every picture, in batches of 32."""
    import timm

    network = timm.create_model("resnet18", num_classes=0).eval().to(memory_format=torch.channels_last)
    pictures = Files(sorted(given.pictures.glob("*.png")), [])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=cpu_has_bfloat16()):
        for start in range(0, len(pictures), 32):
            batch = [pictures.pixels(place) for place in range(start, min(start + 32, len(pictures)))]
            network(torch.stack(batch).contiguous(memory_format=torch.channels_last))
    return {"pictures": len(pictures)}


class Files:
    """A map-style data set: decode, normalise."""

    def __init__(self, files: Sequence[Path], groups: Sequence[str]) -> None:
        self.files, self.groups = files, groups

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> dict[str, Any]:
        label = self.groups.index(self.files[index].stem.split("-")[0])
        return {"pixel_values": self.pixels(index), "labels": label}

    def pixels(self, index: int) -> torch.Tensor:
        """(3, H, W)."""
        pixels = np.asarray(Image.open(self.files[index]).convert("RGB"), dtype=np.float32)
        return torch.from_numpy((pixels.transpose(2, 0, 1) / 255 - 0.45) / 0.225)


RECIPES = {"faster_rcnn": faster_rcnn, "one_pass": one_pass, "trainer": trainer}

if __name__ == "__main__":
    main()
