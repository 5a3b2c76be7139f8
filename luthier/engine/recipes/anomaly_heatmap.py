"""Pictures to how unusual they are and where, learnt from good ones alone. Next: `anomaly/networks`."""

import base64
import io
from collections.abc import Callable, Iterable

import numpy as np
import torch
from PIL import Image
from torch import nn

from luthier.catalog.anomaly import AnomalyPlan, good_concepts
from luthier.data.anomalies import is_anomalous
from luthier.data.decode import decode
from luthier.engine.anomaly.distillation import ReverseDistillation
from luthier.engine.anomaly.judge import UNKNOWN, AnomalyJudge
from luthier.engine.anomaly.networks import anomaly_network, frozen_body
from luthier.engine.anomaly.patchcore import PatchCore
from luthier.engine.anomaly.thresholds import limit_of
from luthier.engine.colours import normalised
from luthier.engine.plans import plan_of
from luthier.engine.recipe import Answer, Batch, Encoded, Look
from luthier.engine.segmentation.masks import DRAWN, classes_of
from luthier.runs.manifest import Example
from luthier.runs.run import RunSpec

LARGEST_HEATMAP = 2048  # pixels of the longer side


class AnomalyHeatmap:
    """The verbs for anomaly heatmaps. A batch: "images", uint8 (B, 3, S, S); "anomalous", (B,); "carries", (B, C);
    "masks", uint8 (B, S, S), 1 where the picture is anomalous, all UNKNOWN where nothing says where; "originals",
    (B, 2), width and height of the pictures as they came.
    """

    input_kind = "image"
    varied = False

    def __init__(self, spec: RunSpec) -> None:
        self.spec = spec
        self.plan = plan_of(AnomalyPlan, spec.plan)
        self.concept_ids = [concept.id for concept in spec.concepts]
        pairs = [(concept.id, concept.name) for concept in spec.concepts]
        self.good = good_concepts(pairs, self.plan.good_concept)
        self.faults = {id: place for place, id in enumerate(self.concept_ids) if id not in self.good}

    def build(self, *, pretrained: bool) -> nn.Module:
        """Raises InvalidTrainingParams, MissingWeights and CorruptFile."""
        weights = self.spec.weights if pretrained else ""
        body = frozen_body(self.plan.body or self.spec.backbone, self.plan, self.spec.weights_folder, weights)
        if self.plan.method == "reverse_distillation":
            return ReverseDistillation(body, self.plan)
        return PatchCore(body, self.plan, self.spec.seed)

    def unusable(self, example: Example) -> str:
        anomalous = is_anomalous(example, self.good)
        if anomalous is None:
            return "no label says whether it is good"
        if anomalous and example.split == "train":
            return "it shows an anomaly: only good pictures are learnt from"
        return ""

    def concepts_in(self, example: Example) -> Iterable[str]:
        carried = {id for id, value in example.labels.items() if value} | {one.concept for one in example.regions}
        return carried & {*self.concept_ids}

    def encode(self, data: bytes, example: Example) -> Encoded:
        whole, side = decode(data), self.plan.image_size
        image = np.asarray(Image.fromarray(whole).resize((side, side), Image.Resampling.BICUBIC))
        carried = {*self.concepts_in(example)}
        return {
            "image": image,
            "anomalous": np.array(bool(is_anomalous(example, self.good))),
            "carries": np.array([id in carried for id in self.concept_ids]),
            "mask": self._mask(example),
            "original": np.array((whole.shape[1], whole.shape[0])),
        }

    def _mask(self, example: Example) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
        side = self.plan.image_size
        drawn = any(one.kind in DRAWN and one.concept in self.faults for one in example.regions)
        if drawn or is_anomalous(example, self.good) is False:
            places = dict.fromkeys(self.faults, 0)
            return (classes_of(example.regions, places, side, side) > 0).astype(np.uint8)
        return np.full((side, side), UNKNOWN, dtype=np.uint8)

    def example_of(self, number: int) -> Encoded:
        side = self.plan.image_size
        return {
            "image": np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8),
            "anomalous": np.array(False),
            "carries": np.zeros(len(self.concept_ids), dtype=bool),
            "mask": np.zeros((side, side), dtype=np.uint8),
            "original": np.array((side, side)),
        }

    def collate(self, encoded: list[Encoded]) -> Batch:
        stacked = {name: torch.from_numpy(np.stack([one[name] for one in encoded])) for name in encoded[0]}
        return {
            "images": stacked["image"].permute(0, 3, 1, 2),
            "anomalous": stacked["anomalous"],
            "carries": stacked["carries"],
            "masks": stacked["mask"],
            "originals": stacked["original"],
        }

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """As it is: an unusual view of a good picture would pass for a good one."""
        return batch

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        return anomaly_network(network).loss(self._normalised(batch["images"]))

    def settle(self, network: nn.Module, look: Look, log: Callable[[str], None]) -> None:
        """What was seen becomes the memory, then the thresholds are chosen."""
        known = anomaly_network(network)
        if words := known.settle():
            log(f"{words}.")
        good, bad, peaks = _scores(look("val"))
        where = "validation"
        if not len(good):
            good, _, peaks = _scores(look("train"))
            where = "training (there are no good validation pictures; these have been learnt, so it may be too low)"
        scores, maps = limit_of(good, bad, self.plan.good_quantile), limit_of(peaks, bad[:0], self.plan.good_quantile)
        rows = [[scores.threshold, scores.steepness], [maps.threshold, maps.steepness]]
        known.limits.copy_(torch.tensor(rows))
        log(f"Threshold {scores.threshold:.4g} of scores, a value of 0.5, from {where} pictures: {scores.why}. "
            f"Heatmaps: {maps.threshold:.4g}.")  # fmt: skip

    def predict(self, network: nn.Module, batch: Batch) -> Batch:
        """ "scores" (B,) and "maps" (B, S, S) as they are; "values" (B,) and "heat", uint8 (B, S, S), by the limits."""
        scores, maps = network(self._normalised(batch["images"]))
        of_scores, of_maps = anomaly_network(network).limits
        heat = (_values(maps, of_maps) * 255).round().to(torch.uint8)
        return {"scores": scores.float(), "maps": maps, "values": _values(scores.float(), of_scores), "heat": heat}

    def answers(self, predicted: Batch, batch: Batch) -> list[Answer]:
        """A good concept's value is one minus the picture's: what kind of anomaly it is, the method cannot tell."""
        rows = zip(predicted["values"].tolist(), predicted["heat"].numpy(), batch["originals"].tolist(), strict=True)
        return [
            {
                "values": [1 - value if id in self.good else value for id in self.concept_ids],
                "heatmap": _png(heat, *original),
            }
            for value, heat, original in rows
        ]

    def judge(self) -> AnomalyJudge:
        return AnomalyJudge(self.concept_ids, list(self.faults.values()))

    def _normalised(self, images: torch.Tensor) -> torch.Tensor:
        return normalised(images, self.plan.mean, self.plan.std)


def _values(raw: torch.Tensor, limit: torch.Tensor) -> torch.Tensor:
    """0..1, 0.5 at the threshold; see `thresholds.Limit`."""
    threshold, steepness = limit
    return torch.sigmoid(steepness * (raw.clamp(min=1e-12).log() - threshold.log()))


Scored = tuple[np.ndarray[tuple[int], np.dtype[np.float32]], ...]


def _scores(shown: Iterable[tuple[Batch, Batch]]) -> Scored:
    """Scores of good pictures, those of anomalous ones, and the greatest values of the good ones' maps."""
    good, bad, peaks = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    for predicted, batch in shown:
        scores, anomalous = predicted["scores"].numpy(), batch["anomalous"].numpy()
        good.append(scores[~anomalous])
        bad.append(scores[anomalous])
        peaks.append(predicted["maps"].flatten(1).amax(1).numpy()[~anomalous])
    return np.concatenate(good), np.concatenate(bad), np.concatenate(peaks)


def _png(heat: np.ndarray[tuple[int, int], np.dtype[np.uint8]], width: int, height: int) -> str:
    """In base64: grey, 128 at the threshold and lighter where it is stranger; as large as the picture, 2048 at most."""
    factor = min(1.0, LARGEST_HEATMAP / max(width, height))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    buffer = io.BytesIO()
    Image.fromarray(heat).resize(size, Image.Resampling.BILINEAR).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


RECIPE = AnomalyHeatmap
