"""RunSpec, what a training is told; and RunFolder, the folder that is the border between platform and engine.

    run.json         RunSpec                                        written once, before the start, by prepare
    manifest.jsonl   the frozen examples                            written once, before the start, by prepare
    events.jsonl     one line per event                             appended by the engine
    checkpoints/     step-00000200/ best/ last/                     renamed into place by the engine when complete
    report.json      metrics, written last                          by the engine
    assets/          what the base model needs beside its weights   copied once, before the start, by prepare
    log.txt          what the engine printed                        by the engine
    base/            the embedder that a transfer learns from        a checkpoint, written once by the engine
    vectors/         what that embedder made of the examples        by the engine, unless spec.vectors_folder is set
    lock             held by the engine that works in this folder   so that two never write at once

Next: `events` for what the engine says, `prepare` and `launch` for how a run starts.
"""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RunConcept:
    """A concept that the model learns; the order of a run's concepts is the order of its logits."""

    id: str
    name: str


@dataclass(frozen=True)
class RunSpec:
    """Everything that a training depends on; serialisable, flat, saved with the result."""

    run: str
    model_type: str  # "visual-classifier"
    template: str  # canonical id, "luthier_tiny_resnet"
    recipe: str  # module in luthier/engine/recipes, "image_classification"
    backbone: str  # network, "timm/resnet50.a1_in1k"; the engine's backbones module knows the names
    weights: str  # name in the weights folder, "" for random weights
    hyperparameters: dict[str, Any]  # complete, in the user's words
    plan: dict[str, Any]  # the same in the engine's words: fields of catalog.plan.ImagePlan and its kin
    concepts: tuple[RunConcept, ...]
    seed: int
    device: str = "auto"  # auto, cpu, cuda, cuda:1, mps
    threads: int = 0  # processor threads; 0: all cores
    blob_folder: str = ""
    weights_folder: str = ""
    offline: bool = False
    resume_from: str = ""  # a checkpoint folder of another run to start from (incremental training)
    replay_percent: float = 0.0  # share of that run's training examples that prepare has mixed in
    image_cache_mb: int = 1024
    disk_reserve_mb: int = 512
    hang_seconds: float = 300.0  # an engine without a step for so long, and for ten usual steps, ends itself; 0: never
    invalid_data_tolerance_percent: float = 5.0
    estimated_seconds: float = 0.0  # what the estimate said; the log ends with estimate against actual
    estimate_only: bool = False  # a calibration: a few steps, measured, nothing saved
    assets: dict[str, str] = field(default_factory=dict)  # files in assets/, as a tokenizer: name -> SHA-256
    assets_folder: str = ""  # where they lie, as a run may be moved: RunFolder.spec fills it in
    base: dict[str, Any] = field(default_factory=dict)  # the RunSpec of the embedder that a transfer learns from
    vectors_folder: str = ""  # where its vectors are kept, for other trainings too; "": in the run folder
    tokens_folder: str = ""  # where tokens of texts are kept, for other trainings on the same texts; "": nowhere
    token_cache_mb: int = 256  # of disk that these take
    text_preparation: dict[str, Any] = field(default_factory=dict)  # of catalog.text_preparation; {}: texts as they are

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The spec in `text`; keys that this version does not know are left out, so that old runs stay readable."""
        raw = json.loads(text)
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in raw.items() if key in known}
        values["concepts"] = tuple(RunConcept(**concept) for concept in raw["concepts"])
        return cls(**values)


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder, and the reading of its small files."""

    path: Path

    @property
    def spec_file(self) -> Path:
        return self.path / "run.json"

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.jsonl"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def report_file(self) -> Path:
        return self.path / "report.json"

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def assets(self) -> Path:
        return self.path / "assets"

    @property
    def base(self) -> Path:
        return self.path / "base"

    def spec(self) -> RunSpec:
        spec = RunSpec.from_json(self.spec_file.read_text(encoding="utf-8"))
        vectors = spec.vectors_folder or str((self.path / "vectors").absolute())
        return replace(spec, assets_folder=str(self.assets.absolute()), vectors_folder=vectors)

    def report(self) -> dict[str, Any]:
        """The metrics, by split; raises FileNotFoundError before the run has ended."""
        report: dict[str, Any] = json.loads(self.report_file.read_text(encoding="utf-8"))
        return report
