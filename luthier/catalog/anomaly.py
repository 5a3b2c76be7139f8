"""What the anomaly templates share: which concept is that of good pictures, and their plan.

Next: `visual_anomaly_heatmap/luthier_tiny_patchcore.py` for an example, `anomalib` for Clarifai's own template.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from luthier.catalog.hyperparameters import Range, String
from luthier.catalog.plan import Plan
from luthier.catalog.vocabulary import NO_WEIGHTS
from luthier.errors import InvalidTrainingParams, shown

Values = Mapping[str, Any]

GOOD_NAMES = (
    "good",
    "normal",
    "ok",
    "okay",
    "regular",
    "healthy",
    "intact",
    "flawless",
    "no anomaly",
    "no defect",
    "defect free",
)
ANOMALY_NAMES = ("anomaly", "anomalous", "abnormal", "defect", "defective", "bad", "faulty", "broken", "not good", "ng")
LARGEST_MEMORY = 20_000  # rows


@dataclass(frozen=True)
class AnomalyPlan(Plan):
    """Plan of the family that learns good pictures and marks what differs. Pictures are squeezed to a square."""

    metrics: ClassVar[tuple[str, ...]] = ("image_auroc", "pixel_auroc", "pro", "f1")

    image_size: int = 256  # pixels
    method: str = "patchcore"  # patchcore, reverse_distillation
    body: str = ""  # the network whose maps are compared; "": the template's own
    strides: tuple[int, ...] = (8, 16)  # of those maps, in pixels
    patch: int = 3  # odd: places of the finest map that a patch is the mean of, each way
    coreset_ratio: float = 0.1  # share of the patches of good pictures that are remembered
    largest_memory: int = LARGEST_MEMORY  # rows, however many patches there are
    neighbours: int = 9  # remembered patches that the score of a picture is weighed by
    alike: bool = False  # channels of the maps are first made to count alike
    good_concept: str = ""  # id of the concept of good pictures; "": found by its name
    good_quantile: float = 0.99  # of good pictures' scores: the threshold, where no anomalies are labelled
    smoothing: float = 4.0  # standard deviation in pixels of the blur over heatmaps; 0: none
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of ImageNet's RGB, range 0..1
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


def good_of(plan: Plan, concepts: Iterable[tuple[str, str]]) -> frozenset[str] | None:
    """Where a plan learns good pictures alone, the ids of the concepts that these carry; else None."""
    return good_concepts(concepts, plan.good_concept) if isinstance(plan, AnomalyPlan) else None


def good_concepts(concepts: Iterable[tuple[str, str]], named: str = "") -> frozenset[str]:
    """Ids of the concepts that good pictures carry, out of (id, name) pairs; empty where good pictures are those that
    are labelled as not having the others.

    That is the `named` one, else those that are called so ("good", "normal", …), else the only one there is, unless it
    is called like a fault. Raises InvalidTrainingParams where `named` is not among them.
    """
    pairs = list(concepts)
    if named:
        if named not in dict(pairs):
            ids = ", ".join(shown(id) for id, _ in pairs[:20])
            raise InvalidTrainingParams(
                f"good_concept is {shown(named)!r}, which is not among the concepts of the training ({ids}); name one"
            )
        return frozenset((named,))
    called = frozenset(id for id, name in pairs if _plain(id) in GOOD_NAMES or _plain(name) in GOOD_NAMES)
    if called or len(pairs) != 1:
        return called
    id, name = pairs[0]
    return frozenset() if {_plain(id), _plain(name)} & {*ANOMALY_NAMES} else frozenset((id,))


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


# -- hyperparameters ---------------------------------------------------------------------------------------------------


def good_concept() -> String:
    text = (
        "Id of the concept that good pictures carry; empty takes the one that is called good, normal or ok, else the "
        "only one. Pictures of other concepts are anomalies: they are judged, never learnt"
    )
    return String(name="good_concept", default="", max_length=256, description=text)


def good_quantile() -> Range:
    text = "Share of good validation pictures that stay below the threshold, where no anomalies are labelled"
    return Range(name="good_quantile", default=0.99, min=0.5, max=1, description=text)


def coreset_ratio(default: float) -> Range:
    text = "Share of the patches of good pictures that are remembered; more is slower and seldom better"
    return Range(name="coreset_ratio", default=default, min=0.0001, max=1, description=text)


def neighbours() -> Range:
    text = "Remembered patches that the score of a picture is weighed by; 1 weighs nothing"
    return Range(name="neighbours", default=9, min=1, max=50, step=1, description=text)


# -- plans -------------------------------------------------------------------------------------------------------------


def of_patchcore(**fields: Any) -> AnomalyPlan:
    """One look at every good picture; nothing is learnt by gradients."""
    return AnomalyPlan(epochs=1, learning_rate=0.0, **fields)


def patchcore_plan(values: Values) -> AnomalyPlan:
    return of_patchcore(
        batch_size=values["batch_size"],
        image_size=values["image_size"],
        strides=(4,),
        patch=1,
        coreset_ratio=values["coreset_ratio"],
        neighbours=values["neighbours"],
        alike=True,
        good_concept=values["good_concept"],
        good_quantile=values["good_quantile"],
        smoothing=2.0,
    )


def distillation_plan(values: Values) -> AnomalyPlan:
    """Reverse distillation (Deng and Li 2022): the teacher stays as it is, the student learns by AdamW.

    Without weights the teacher is the bank of filters, which tells more than random ones.
    """
    plain = values["pretrained_weights"] == NO_WEIGHTS
    return AnomalyPlan(
        epochs=values["num_epochs"],
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        warmup_steps=values["warmup_iters"],
        clip_gradient_norm=10.0,
        backbone_multiplier=0.0,
        early_stopping_epochs=values["early_stopping_epochs"],
        notes=("without weights the teacher is a fixed bank of filters",) if plain else (),
        image_size=values["image_size"],
        method="reverse_distillation",
        body="luthier/filter_bank" if plain else "",
        strides=(4,) if plain else (4, 8, 16),
        alike=plain,
        good_concept=values["good_concept"],
        good_quantile=values["good_quantile"],
    )
