"""Anomalib's configuration of PatchCore, as far as it says anything here: keys that are read, all others refused.

Nothing of it is imported or run: a class is a name out of a list. Next: `anomaly` for the plan, `json_object`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from luthier.catalog.anomaly import AnomalyPlan, of_patchcore
from luthier.catalog.hyperparameters import ArrayOfNumbers, Boolean, Enum, Hyperparameter, Range, String
from luthier.catalog.json_object import JsonObject
from luthier.catalog.vocabulary import NO_WEIGHTS
from luthier.errors import InvalidTrainingParams, shown

Values = Mapping[str, Any]

CONFIG = "anomalib_config_json"
BODIES = {  # names that Anomalib's users give -> weights that are free for all uses
    "wide_resnet50_2": "timm/wide_resnet50_2.tv_in1k",
    "resnet50": "timm/resnet50.tv_in1k",
    "resnet18": "timm/resnet18.tv_in1k",
}
GFLOPS = {"wide_resnet50_2": 29.9, "resnet50": 10.8, "resnet18": 4.75}  # of one picture of 256 x 256 pixels
STRIDES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}
CLASSES = ("Patchcore", "patchcore", "anomalib.models.Patchcore", "anomalib.models.image.Patchcore")


class Side(ArrayOfNumbers):
    """The side of a square: one number, or the same twice."""

    def allowed(self) -> str:
        return f"{self.each.allowed()}, the side of a square, or a list of it twice"

    def checked(self, value: Any) -> tuple[float, ...]:
        sides = super().checked(value if isinstance(value, list | tuple) else [value])
        if len({*sides}) > 1:
            raise ValueError
        return sides[:1]


class Layers(Hyperparameter):
    """Some of a ResNet's layers, the finest first."""

    def allowed(self) -> str:
        return f"a list of some of {', '.join(STRIDES)}, in this order"

    def checked(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) for one in value):
            raise ValueError
        if any(one not in STRIDES for one in value) or list(value) != sorted({*value}):
            raise ValueError
        return tuple(value)


class AnomalibConfig(JsonObject):
    """The object, or its text; an empty text is an empty object, as the published snippet sends it."""

    def checked(self, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else {}
            except RecursionError:
                raise ValueError from None
        return super().checked(value)


def _object(name: str, *keys: Hyperparameter) -> JsonObject:
    return JsonObject(name=name, default={}, description="", keys=keys)


MODEL: tuple[Hyperparameter, ...] = (
    Enum(name="backbone", default="wide_resnet50_2", options=tuple(BODIES), description=""),
    Layers(name="layers", default=("layer2", "layer3"), description=""),
    Boolean(name="pre_trained", default=True, description=""),
    Range(name="coreset_sampling_ratio", default=0.1, min=0.0001, max=1, description=""),
    Range(name="num_neighbors", default=9, min=1, max=50, step=1, description=""),
)
DATA: tuple[Hyperparameter, ...] = (
    Side(name="image_size", default=(256,), min=32, max=1024, min_length=1, max_length=2, whole=True, description=""),
    Range(name="train_batch_size", default=32, min=1, max=256, step=1, description=""),
    String(name="normal_dir", default="", max_length=256, description=""),
)
CLASS = tuple(Enum(name=name, default="", options=CLASSES, description="") for name in ("class_path", "name"))


def config() -> AnomalibConfig:
    """Keys alone, in the folders that Anomalib 1 and 2 have for them, or in those of Anomalib 0."""
    text = (
        "Settings of the method in the words of Anomalib's configurations: backbone, layers, pre_trained, "
        "coreset_sampling_ratio, num_neighbors (alone, or in model), image_size, train_batch_size, normal_dir, which "
        "is the concept of good pictures (alone, or in data). Empty takes the defaults"
    )
    model = _object("model", *CLASS, *MODEL, _object("init_args", *MODEL))
    data = (_object("data", *DATA, _object("init_args", *DATA)), _object("dataset", *DATA))
    return AnomalibConfig(name=CONFIG, default={}, description=text, keys=(*MODEL, *DATA, model, *data))


def settings(values: Values) -> dict[str, Any]:
    """By their last name, complete; raises InvalidTrainingParams where the configuration says one thing twice."""
    found: dict[str, Any] = {}
    for name, value in _leaves(values[CONFIG]):
        if name in found:
            raise InvalidTrainingParams(f"train_info.params.{CONFIG} says {shown(name)} in two places; give it once")
        found[name] = value
    return {one.name: one.default for one in (*MODEL, *DATA)} | found


def _leaves(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield name, value


def plan(values: Values) -> AnomalyPlan:
    """The paper's method: one look at every good picture, whose patches the body's maps describe."""
    given = settings(values)
    return of_patchcore(
        batch_size=given["train_batch_size"],
        image_size=given["image_size"][0],
        body=BODIES[given["backbone"]],
        strides=tuple(STRIDES[layer] for layer in given["layers"]),
        coreset_ratio=given["coreset_sampling_ratio"],
        neighbours=given["num_neighbors"],
        good_concept=given["normal_dir"],
    )


def weights(values: Values) -> str:
    given = settings(values)
    random_start = values["pretrained_weights"] == NO_WEIGHTS or not given["pre_trained"]
    return "" if random_start else BODIES[given["backbone"]]


def gflops(values: Values) -> float:
    """In proportion to the pixels."""
    given = settings(values)
    side: float = given["image_size"][0]
    return GFLOPS[given["backbone"]] * side * side / 256**2
