"""Pictures to a mask for each concept. Next: `segmentation/networks`, `segmentation/masks`."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from luthier.catalog.plan import SegmentationPlan
from luthier.data.decode import decode, proportional
from luthier.engine.colours import normalised, repaint
from luthier.engine.detection import moves
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded, Scores
from luthier.engine.region_mixing import mixed_classes
from luthier.engine.regions import objects_of
from luthier.engine.segmentation import networks
from luthier.engine.segmentation.masks import DRAWN, classes_of, png_of
from luthier.errors import InvalidTrainingParams
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

MULTIPLE = 32  # pixels: sides of a batch are multiples, as networks halve them five times
UNKNOWN = 255  # class of the padding: neither learnt nor judged


class SemanticSegmentation:
    """The verbs for visual segmenters. A batch: "images", uint8 (B, 3, H, W), padded at the right and below;
    "classes", uint8 (B, H, W), 0 the background, 255 the padding; "sizes" and "originals", (B, 2), width and height
    of each picture within the batch and as it came.
    """

    input_kind = "image"
    varied = False

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(SegmentationPlan, spec.plan)
        self.concept_ids = [concept.id for concept in spec.concepts]
        if len(self.concept_ids) > self.plan.most_concepts:
            raise InvalidTrainingParams(
                f"the training has {len(self.concept_ids)} concepts; a segmenter tells at most "
                f"{self.plan.most_concepts} apart: name fewer, or train two models"
            )
        self.places = {id: place for place, id in enumerate(self.concept_ids)}

    def build(self, *, pretrained: bool) -> nn.Module:
        weights = self.spec.weights if pretrained else ""
        return networks.build(self.spec.backbone, len(self.concept_ids), self.plan, self.spec.weights_folder, weights)

    def unusable(self, example: Example) -> str:
        """A picture without regions is background; one that is labelled and has no pixels of the concept is neither."""
        drawn = self._drawn(example)
        named = {id for id, value in example.labels.items() if value == 1} | {one.concept for one in example.regions}
        bare = [id for id in self.concept_ids if id in named - drawn]
        return f"labelled {bare[0]}, but no polygon and no mask says where" if bare else ""

    def concepts_in(self, example: Example) -> Iterable[str]:
        return self._drawn(example) & {*self.concept_ids}

    def _drawn(self, example: Example) -> set[str]:
        """Concepts of which a polygon or a mask holds pixels."""
        return {one.concept for one in objects_of(one for one in example.regions if one.kind in DRAWN)}

    def encode(self, data: bytes, example: Example) -> Encoded:
        whole = decode(data)
        original = whole.shape[1], whole.shape[0]
        size = self.plan.size_for(example.split)
        width, height = size if len(size) == 2 else proportional(*original, size[0], self.plan.largest_ratio)
        image = np.asarray(Image.fromarray(whole).resize((width, height), Image.Resampling.BICUBIC))
        classes = classes_of(example.regions, self.places, width, height)
        return {"image": image, "classes": classes, "original": np.array(original)}

    def example_of(self, number: int) -> Encoded:
        width, height = self.plan.image_size[0], self.plan.image_size[-1]
        generator = np.random.default_rng(number)
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        classes = np.zeros((height, width), dtype=np.uint8)
        classes[height // 4 : height // 2, width // 4 : width // 2] = 1 + number % len(self.concept_ids)
        return {"image": image, "classes": classes, "original": np.array((width, height))}

    def collate(self, encoded: list[Encoded]) -> Batch:
        height, width = (-(-max(one["image"].shape[axis] for one in encoded) // MULTIPLE) * MULTIPLE for axis in (0, 1))
        images = np.empty((len(encoded), height, width, 3), dtype=np.uint8)
        images[:] = (np.array(self.plan.mean) * 255).round()
        classes = np.full((len(encoded), height, width), UNKNOWN, dtype=np.uint8)
        for row, one in enumerate(encoded):
            own_height, own_width = one["classes"].shape
            images[row, :own_height, :own_width] = one["image"]
            classes[row, :own_height, :own_width] = one["classes"]
        sizes = np.array([one["image"].shape[1::-1] for one in encoded])
        return {
            "images": torch.from_numpy(images).permute(0, 3, 1, 2),
            "classes": torch.from_numpy(classes),
            "sizes": torch.from_numpy(sizes),
            "originals": torch.from_numpy(np.stack([one["original"] for one in encoded])),
        }

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        if moves.moves(self.plan):
            scale, origin = moves.views(batch["sizes"], self.plan, generator)
            batch = {**batch, **moves.with_classes(batch["images"], batch["classes"], scale, origin, UNKNOWN)}
        batch = {**batch, "images": repaint(batch["images"], self.plan, generator)}
        return mixed_classes(batch, self.plan, generator)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross entropy and, so that small objects count too, one minus the Dice overlap (Milletari et al. 2016)."""
        logits = networks.enlarged(network(self._normalised(batch["images"])).float(), batch["classes"].shape[1:])
        loss = self._loss(logits, batch["classes"].long())
        if "others" not in batch:
            return loss
        share = batch["shares"][0]  # of a blend of two pictures
        return share * loss + (1 - share) * self._loss(logits, batch["others"].long())

    def _loss(self, logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        known = classes != UNKNOWN
        wanted = torch.where(known, classes, -100)
        entropy = functional.cross_entropy(logits, wanted, ignore_index=-100, label_smoothing=self.plan.label_smoothing)
        shares = logits.softmax(1) * known.unsqueeze(1)
        truth = functional.one_hot(torch.where(known, classes, 0), logits.shape[1]).permute(0, 3, 1, 2)
        truth = truth * known.unsqueeze(1)
        shared, both = (shares * truth).sum((0, 2, 3)), (shares + truth).sum((0, 2, 3))
        dice = (2 * shared + 1) / (both + 1)
        return entropy + 1 - dice[1:].mean()

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "classes", uint8 (B, H, W); "values", (B, C): how sure the network is of a concept's pixels, 0 for none."""
        images = batch["images"]
        shares = networks.enlarged(network(self._normalised(images)).float(), images.shape[2:]).softmax(1)
        inside = batch["classes"] != UNKNOWN
        best = shares.argmax(1)
        values = []
        for place in range(len(self.concept_ids)):
            mine = (best == place + 1) & inside
            values.append((shares[:, place + 1] * mine).sum((1, 2)) / mine.sum((1, 2)).clamp(min=1))
        return {"classes": best.to(torch.uint8), "values": torch.stack(values, 1)}

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        return [self._answer(*one) for one in zip(*(
            tensor.numpy() for tensor in (predicted["classes"], predicted["values"], batch["sizes"], batch["originals"])
        ), strict=True)]  # fmt: skip

    def _answer(self, classes: Any, values: Any, size: Any, original: Any) -> Answer:
        classes = classes[: size[1], : size[0]]
        present = [place for place in range(len(self.concept_ids)) if (classes == place + 1).any()]
        regions = [
            {
                "concept": place,
                "value": float(values[place]),
                "mask": png_of(classes == place + 1, int(original[0]), int(original[1])),
            }
            for place in sorted(present, key=lambda place: -values[place])
        ]
        return {"regions": regions}

    def judge(self) -> "SegmentationJudge":
        return SegmentationJudge(self.concept_ids)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        return normalised(images, self.plan.mean, self.plan.std)


class SegmentationJudge:
    """Counts pixels: row the labelled class, column the predicted one. `miou` and `dice` are means over the concepts,
    the background left out; what is not labelled is background. Judged at the size that the network sees.
    """

    def __init__(self, concepts: list[str]) -> None:
        self.concepts = concepts
        self.counts = np.zeros((len(concepts) + 1, len(concepts) + 1), dtype=np.int64)

    def add(self, predicted: Batch, batch: Batch) -> None:
        truth, found = batch["classes"].numpy().astype(np.int64), predicted["classes"].numpy().astype(np.int64)
        known = truth != UNKNOWN
        size = len(self.counts)
        pairs = truth[known] * size + found[known]
        self.counts += np.bincount(pairs, minlength=size * size).reshape(size, size)

    def scores(self) -> Scores:
        rows = [self._row(place, id) for place, id in enumerate(self.concepts, start=1)]
        metrics: dict[str, float] = {}
        for ours, per in (("miou", "iou"), ("dice", "dice")):
            known = [row[per] for row in rows if row[per] is not None]
            if known:
                metrics[ours] = sum(known) / len(known)
        if self.counts.sum():
            metrics["pixel_accuracy"] = float(self.counts.trace() / self.counts.sum())
        return Scores(metrics, rows, (metrics.get("miou", 0.0), metrics.get("pixel_accuracy", 0.0)))

    def _row(self, place: int, id: str) -> dict[str, Any]:
        """None where no picture has a labelled pixel of the concept."""
        both = int(self.counts[place, place])
        labelled, found = int(self.counts[place].sum()), int(self.counts[:, place].sum())
        return {
            "id": id,
            "iou": both / (labelled + found - both) if labelled else None,
            "dice": 2 * both / (labelled + found) if labelled else None,
            "support": labelled,
            "predicted": found,
        }


RECIPE = SemanticSegmentation
