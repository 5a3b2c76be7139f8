"""Pictures to boxes with concepts. Next: `detection/detector` for the networks, `detection/moves` for augmentation."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import nn

from luthier.catalog.plan import DetectionPlan
from luthier.data.decode import decode_sized
from luthier.engine.colours import normalised
from luthier.engine.detection import networks
from luthier.engine.detection.average_precision import OVERLAPS, ConceptRecord
from luthier.engine.detection.detector import Detector, Found, Target
from luthier.engine.detection.moves import moved
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded, Scores
from luthier.engine.region_mixing import mixed_boxes
from luthier.engine.regions import objects_of
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

Array = np.ndarray[Any, Any]
MULTIPLE = 32  # pixels: sides of a batch are multiples, as every network halves them five times
MOST_EXAMPLE_OBJECTS = 4


class ObjectDetection:
    """The verbs for visual detectors. A batch: "images", uint8 (B, 3, H, W), padded at the right and below; "sizes",
    (B, 2), width and height of each; "boxes", (B, N, 4), left, top, right, bottom in its pixels; "concepts", (B, N),
    places in the run's list, -1 where there is no box.
    """

    input_kind = "image"
    varied = False

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(DetectionPlan, spec.plan)
        self.concept_ids = [concept.id for concept in spec.concepts]
        self.places = {id: place for place, id in enumerate(self.concept_ids)}

    def build(self, *, pretrained: bool) -> nn.Module:
        weights = self.spec.weights if pretrained else ""
        return networks.build(self.spec.backbone, len(self.concept_ids), self.plan, self.spec.weights_folder, weights)

    def unusable(self, example: Example) -> str:
        """A picture without boxes is background; one that is labelled and has no box of the concept is neither."""
        boxed = {one.concept for one in objects_of(example.regions)}
        named = {id for id, value in example.labels.items() if value == 1} | {one.concept for one in example.regions}
        bare = [id for id in self.concept_ids if id in named - boxed]
        return f"labelled {bare[0]}, but no box says where" if bare else ""

    def concepts_in(self, example: Example) -> Iterable[str]:
        return {one.concept for one in objects_of(example.regions) if one.concept in self.places}

    def encode(self, data: bytes, example: Example) -> Encoded:
        image = decode_sized(data, self.plan.size_for(example.split), self.plan.largest_ratio)
        height, width = image.shape[:2]
        objects = [one for one in objects_of(example.regions) if one.concept in self.places]
        boxes = np.array([one.box for one in objects], dtype=np.float32).reshape(-1, 4)
        concepts = np.array([self.places[one.concept] for one in objects], dtype=np.int64)
        return {
            "image": image,
            "boxes": boxes * np.array([width, height, width, height], dtype=np.float32),
            "concepts": concepts,
        }

    def example_of(self, number: int) -> Encoded:
        generator = np.random.default_rng(number)
        width, height = self.plan.image_size[0], self.plan.image_size[-1]
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        count = 1 + number % MOST_EXAMPLE_OBJECTS
        corners = generator.random((count, 2)) * 0.6
        boxes = np.concatenate([corners, corners + 0.2 + 0.2 * generator.random((count, 2))], 1)
        concepts = generator.integers(0, len(self.concept_ids), count)
        return {
            "image": image,
            "boxes": (boxes * [width, height, width, height]).astype(np.float32),
            "concepts": concepts,
        }

    def collate(self, encoded: list[Encoded]) -> Batch:
        height, width = (_rounded(max(one["image"].shape[axis] for one in encoded)) for axis in (0, 1))
        most = max(len(one["boxes"]) for one in encoded)
        images = np.empty((len(encoded), height, width, 3), dtype=np.uint8)
        images[:] = (np.array(self.plan.mean) * 255).round()
        boxes = np.zeros((len(encoded), most, 4), dtype=np.float32)
        concepts = np.full((len(encoded), most), -1, dtype=np.int64)
        for row, one in enumerate(encoded):
            images[row, : one["image"].shape[0], : one["image"].shape[1]] = one["image"]
            boxes[row, : len(one["boxes"])] = one["boxes"]
            concepts[row, : len(one["boxes"])] = one["concepts"]
        sizes = np.array([one["image"].shape[1::-1] for one in encoded], dtype=np.int64)
        arrays = {"boxes": boxes, "concepts": concepts, "sizes": sizes}
        return {
            "images": torch.from_numpy(images).permute(0, 3, 1, 2),
            **{name: torch.from_numpy(array) for name, array in arrays.items()},
        }

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        return mixed_boxes(moved(batch, self.plan, generator), self.plan, generator)

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        return _detector(network).loss(self._normalised(batch["images"]), targets_of(batch))

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "boxes" (B, K, 4) in the batch's pixels, "values" and "concepts" (B, K), best first; concept -1: no box."""
        sizes = [(height, width) for width, height in batch["sizes"].tolist()]
        return together(_detector(network).detect(self._normalised(batch["images"]), sizes))

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        shares = (predicted["boxes"] / batch["sizes"].repeat(1, 2).unsqueeze(1)).clamp(0, 1).tolist()
        values, concepts = predicted["values"].tolist(), predicted["concepts"].tolist()
        return [
            {"regions": [{"concept": c, "value": v, "box": box} for box, v, c in zip(*one, strict=True) if c >= 0]}
            for one in zip(shares, values, concepts, strict=True)
        ]

    def judge(self) -> "DetectionJudge":
        return DetectionJudge(self.concept_ids)

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        return normalised(images, self.plan.mean, self.plan.std)


class DetectionJudge:
    """Average precisions, per concept and over all. `map` is the mean over overlaps from 0.50 to 0.95."""

    def __init__(self, concepts: list[str]) -> None:
        self.concepts = concepts
        self.records = [ConceptRecord() for _ in concepts]

    def add(self, predicted: Batch, batch: Batch) -> None:
        found = [predicted[name].numpy() for name in ("boxes", "values", "concepts")]
        truth = [batch[name].numpy() for name in ("boxes", "concepts")]
        for boxes, values, concepts, true_boxes, true_concepts in zip(*found, *truth, strict=True):
            for place, record in enumerate(self.records):
                mine = concepts == place
                record.add(boxes[mine], values[mine], true_boxes[true_concepts == place])

    def scores(self) -> Scores:
        rows = [self._row(id, record) for id, record in zip(self.concepts, self.records, strict=True)]
        names = {"map": "ap", "map50": "ap50", "map75": "ap75"}
        known = [row for row in rows if row["ap"] is not None]
        metrics = {ours: sum(row[per] for row in known) / len(known) for ours, per in names.items()} if known else {}
        return Scores(metrics, rows, (metrics.get("map", 0.0), metrics.get("map50", 0.0)))

    def _row(self, id: str, record: ConceptRecord) -> dict[str, Any]:
        precisions = record.average_precisions()
        at = {f"ap{round(100 * overlap)}": place for place, overlap in enumerate(OVERLAPS)}
        return {
            "id": id,
            "ap": None if precisions is None else float(precisions.mean()),
            **{name: None if precisions is None else float(precisions[at[name]]) for name in ("ap50", "ap75")},
            "support": record.objects,
            "predicted": record.proposed,
        }


def targets_of(batch: Batch) -> list[Target]:
    return [
        Target(boxes[concepts >= 0], concepts[concepts >= 0])
        for boxes, concepts in zip(batch["boxes"], batch["concepts"], strict=True)
    ]


def together(found: list[Found]) -> Batch:
    """Padded to the picture with the most boxes."""
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "boxes": pad([one.boxes for one in found], True),
        "values": pad([one.values for one in found], True),
        "concepts": pad([one.concepts for one in found], True, -1),
    }


def _rounded(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE


def _detector(network: nn.Module) -> Detector:
    if not isinstance(network, Detector):
        raise TypeError(f"{type(network).__name__} is not a detector")
    return network


RECIPE = ObjectDetection
