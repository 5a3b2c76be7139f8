"""Which concepts a prediction returns: max_concepts, min_value, select_concepts, and detection_threshold of regions;

and of a video how many milliseconds lie between the frames that are looked at, sample_ms.

Next: `answers`, which applies them.

They come from the request, else from what was stored with the version, else from DEFAULTS. In both they may stand in
output_info.params or in output_info.output_config; the latter, where 0 and [] mean "not given", wins.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import InvalidPredictRequest, shown
from luthier.rpcs.generation_options import options_in
from luthier.rpcs.struct_values import plain

NAMES = ("max_concepts", "min_value", "select_concepts", "detection_threshold", "sample_ms")
DEFAULTS: dict[str, Any] = {"max_concepts": 20, "min_value": 0, "select_concepts": []}
SAMPLE_MS = (100, 60_000)  # smallest and largest
DEFAULT_SAMPLE_MS = 1000


@dataclass(frozen=True)
class PredictionSettings:
    max_concepts: int
    min_value: float  # 0..1; concepts below it are left out
    selected: frozenset[str]  # ids; empty: all
    detection_threshold: float = 0.0  # 0..1; regions below it are left out
    sample_ms: int = DEFAULT_SAMPLE_MS  # of a video, between the frames that are predicted
    writing: Mapping[str, Any] = field(default_factory=dict)  # of a text generator, see `generation_options`

    def wants(self, concept: Mapping[str, str], value: float) -> bool:
        """Whether a region of that concept and value is returned."""
        least = max(self.min_value, self.detection_threshold)
        return value >= least and (not self.selected or concept["id"] in self.selected)

    def chosen(
        self, concepts: Sequence[Mapping[str, str]], values: Sequence[float]
    ) -> list[tuple[Mapping[str, str], float]]:
        """(concept, value) of those that are returned, best first."""
        pairs = [
            (concept, value)
            for concept, value in zip(concepts, values, strict=True)
            if value >= self.min_value and (not self.selected or concept["id"] in self.selected)
        ]
        return sorted(pairs, key=lambda pair: -pair[1])[: self.max_concepts]


def settings_for(
    stored: resources_pb2.OutputInfo,
    asked: resources_pb2.OutputInfo,
    concepts: Sequence[Mapping[str, str]],
    most_concepts: int,
) -> PredictionSettings:
    """Those in force for one call; raises InvalidPredictRequest naming what is not allowed."""
    given = {**DEFAULTS, **_given(stored), **_given(asked)}
    return PredictionSettings(
        max_concepts=_max_concepts(given["max_concepts"], most_concepts),
        min_value=_share("min_value", given["min_value"]),
        selected=_selected(given["select_concepts"], concepts),
        detection_threshold=_share("detection_threshold", given.get("detection_threshold", 0.0)),
        sample_ms=_sample_ms(given.get("sample_ms", DEFAULT_SAMPLE_MS)),
        writing=options_in(plain(stored.params)) | options_in(plain(asked.params)),
    )


def to_store(
    sent: resources_pb2.OutputInfo, concepts: Sequence[Mapping[str, str]], most_concepts: int
) -> resources_pb2.OutputInfo:
    """What of a new version's `output_info` is kept: its prediction settings, checked, all in `params`.

    output_config is left empty of them: clients send a version's output_info back with each prediction, and what
    stands in output_config then is what the caller of that prediction asked for.
    """
    settings_for(resources_pb2.OutputInfo(), sent, concepts, most_concepts)
    kept = resources_pb2.OutputInfo()
    kept.params.update({**DEFAULTS, **_given(sent), **options_in(plain(sent.params))})
    kept.output_config.concepts_mutually_exclusive = sent.output_config.concepts_mutually_exclusive
    return kept


def _given(info: resources_pb2.OutputInfo) -> dict[str, Any]:
    params = plain(info.params)
    given = {name: params[name] for name in NAMES if params.get(name) is not None}
    config = info.output_config
    if config.max_concepts:
        given["max_concepts"] = config.max_concepts
    if config.min_value:
        given["min_value"] = config.min_value
    if config.sample_ms:
        given["sample_ms"] = config.sample_ms
    if config.select_concepts:
        given["select_concepts"] = [{"id": one.id, "name": one.name} for one in config.select_concepts]
    return given


def _max_concepts(value: Any, most: int) -> int:
    if not _number(value) or value != int(value) or not 1 <= value <= most:
        raise InvalidPredictRequest(f"max_concepts is {shown(value)}; give a whole number from 1 to {most}")
    return int(value)


def _sample_ms(value: Any) -> int:
    least, most = SAMPLE_MS
    if not _number(value) or value != int(value) or not least <= value <= most:
        raise InvalidPredictRequest(f"sample_ms is {shown(value)}; give a whole number from {least} to {most}")
    return int(value)


def _share(name: str, value: Any) -> float:
    if not _number(value) or not 0 <= value <= 1:
        raise InvalidPredictRequest(f"{name} is {shown(value)}; give a number from 0 to 1")
    return float(value)


def _selected(value: Any, concepts: Sequence[Mapping[str, str]]) -> frozenset[str]:
    """Concepts are named by id as text, or by an object with id or name."""
    if not isinstance(value, list) or not all(isinstance(one, str | dict) for one in value):
        raise InvalidPredictRequest(f"select_concepts is {shown(value)}; give a list of concepts, each with its id")
    known = {concept["name"]: concept["id"] for concept in concepts} | {one["id"]: one["id"] for one in concepts}
    wanted = [one if isinstance(one, str) else str(one.get("id") or one.get("name") or "") for one in value]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        names = ", ".join(shown(name) for name in unknown[:20])
        has = ", ".join(shown(one["id"]) for one in concepts[:20])
        raise InvalidPredictRequest(f"select_concepts names {names}, which this version does not know; it knows {has}")
    return frozenset(known[name] for name in wanted)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
