"""Pictures to concepts: one concept each (softmax) or any number (a sigmoid each). Next: `augment`, `metrics`."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from luthier.catalog.plan import ImagePlan
from luthier.data.decode import decode_resized, decode_sized
from luthier.data.pixels import Pixels
from luthier.engine import augment, backbones, classification
from luthier.engine.classification import ClassificationJudge
from luthier.engine.colours import normalised
from luthier.engine.feature_cache import before_head
from luthier.engine.heads import with_head
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec


class ImageClassification:
    """The verbs for visual classifiers. A batch: "images", uint8 (B, 3, S, S), and "targets", float (B, C)."""

    input_kind = "image"
    varied = False

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(ImagePlan, spec.plan)
        self.concept_ids = [concept.id for concept in spec.concepts]
        self.weights: torch.Tensor | None = None

    def build(self, *, pretrained: bool) -> nn.Module:
        network = backbones.build(
            self.spec.backbone,
            classes=len(self.concept_ids),
            image_size=self.plan.image_size,
            weights_folder=self.spec.weights_folder,
            weights=self.spec.weights if pretrained else "",
            stochastic_depth=self.plan.stochastic_depth,
        )
        network = with_head(network, self.plan.head_hidden_layers, self.plan.head_hidden_width, self.plan.dropout)
        if self.plan.normalize_embedding:
            backbones.head_of(network).register_forward_pre_hook(_of_length_one)
        return network

    def unusable(self, example: Example) -> str:
        return classification.unusable(example, self.concept_ids, exclusive=self.plan.mutually_exclusive)

    def concepts_in(self, example: Example) -> Iterable[str]:
        return classification.concepts_in(example)

    def encode(self, data: bytes, example: Example) -> Encoded:
        image = self._seen(data, learnt=example.split == "train")
        return {"image": image, "target": classification.target_of(example, self.concept_ids)}

    def _seen(self, data: bytes, *, learnt: bool) -> Pixels:
        asked = () if learnt else self.plan.prediction_size
        if len(asked) == 2:
            return decode_sized(data, asked)
        if asked:
            return decode_resized(data, asked[0], "shorter_side")
        return decode_resized(data, self.plan.image_size, self.plan.resize)

    def example_of(self, number: int) -> Encoded:
        side, concepts = self.plan.image_size, len(self.concept_ids)
        image = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        return {"image": image, "target": np.eye(concepts, dtype=np.uint8)[number % concepts]}

    def collate(self, encoded: list[Encoded]) -> Batch:
        images = torch.from_numpy(np.stack([one["image"] for one in encoded]))  # (B, S, S, 3)
        targets = torch.from_numpy(np.stack([one["target"] for one in encoded]))
        return {"images": images.permute(0, 3, 1, 2), "targets": targets.float()}

    def features(self, network: nn.Module, batch: Batch) -> Batch:
        """ "features", (B, D), in place of "images"; "mirrored" where the mirror image has a say too."""
        images = self.normalised(batch["images"])
        found = {"features": before_head(network, images), "targets": batch["targets"]}
        return {**found, "mirrored": before_head(network, images.flip(-1))} if self.plan.average_flips else found

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        targets = classification.smoothed(
            batch["targets"], self.plan.label_smoothing, exclusive=self.plan.mutually_exclusive
        )
        if "features" in batch:
            return {**batch, "targets": targets}
        images = augment.augment(batch["images"], self.plan, generator)
        images, targets = augment.mix(images, targets, self.plan, generator)
        return {"images": images, "targets": targets}

    def weigh(self, positives: Mapping[str, int], examples: int) -> None:
        if self.plan.class_weights == "balanced":
            exclusive = self.plan.mutually_exclusive
            self.weights = classification.balanced(positives, examples, self.concept_ids, exclusive=exclusive)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        logits = self._logits(network, batch).float()
        exclusive = self.plan.mutually_exclusive
        return classification.loss(logits, batch["targets"], exclusive=exclusive, weights=self.weights)

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "values": probabilities, (B, C)."""
        values = self._activated(self._logits(network, batch).float())
        if self.plan.average_flips:
            values = (values + self._activated(self._logits(network, batch, mirrored=True).float())) / 2
        return {"values": values.float()}

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        return [{"values": values} for values in predicted["values"].tolist()]

    def judge(self) -> ClassificationJudge:
        return ClassificationJudge(self.concept_ids, exclusive=self.plan.mutually_exclusive)

    def normalised(self, images: torch.Tensor) -> torch.Tensor:
        return normalised(images, self.plan.mean, self.plan.std)

    def _logits(self, network: nn.Module, batch: Batch, *, mirrored: bool = False) -> torch.Tensor:
        if "features" in batch:
            of_features: torch.Tensor = backbones.head_of(network)(batch["mirrored" if mirrored else "features"])
            return of_features
        images = self.normalised(batch["images"])
        logits: torch.Tensor = network(images.flip(-1) if mirrored else images)
        return logits

    def _activated(self, logits: torch.Tensor) -> torch.Tensor:
        return classification.probabilities(logits, exclusive=self.plan.mutually_exclusive)


def _of_length_one(head: nn.Module, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """What the head is given, (B, features), scaled to length 1."""
    return (functional.normalize(arguments[0].float(), dim=-1),)


RECIPE = ImageClassification
