"""A template is a recipe, a backbone and typed hyperparameters. One TEMPLATE per file, named as its id in lower case.

Next: `visual_classifier/luthier_tiny_resnet.py` for an example, `model_type` for who lists them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from luthier.catalog import cost
from luthier.catalog.embedders import Embedder
from luthier.catalog.hyperparameters import Hyperparameter, check
from luthier.catalog.plan import Plan
from luthier.errors import InvalidTrainingParams

Values = Mapping[str, Any]  # checked hyperparameters by name, complete


@dataclass(frozen=True, kw_only=True)
class Template:
    """What a user picks to train a model.

    `backbone` names the network: `timm/…` is timm's, `luthier/…` our own.

    `plan` turns checked hyperparameters into what the engine does; it raises InvalidTrainingParams where they
    contradict each other. `weights` names the pre-trained weights for given values, "" for a random start.
    `backbone_at` names it for given values, where they choose it; `backbone` is then that of the defaults.
    `gflops` is the cost of one forward pass of one item at the default size, in 1e9 multiply-adds times two, and
    `gflops_at` scales it to other values: a first time estimate needs no torch. Of a text it is that of half of the
    tokens that are read at the most.
    `strategies`: it has those of the module of that name beside its own hyperparameters, all but the fields of the plan
    that `without` names.
    `embedder` is what a transfer learns from where the request names no other; `weights` and `backbone` are then its.
    """

    id: str
    model_type: str
    description: str
    hyperparameters: tuple[Hyperparameter, ...]
    recipe: str
    backbone: str
    plan: Callable[[Values], Plan]
    backbone_at: Callable[[Values], str] | None = None
    weights: Callable[[Values], str] = lambda values: ""
    gflops: float = 1.0
    gflops_at: Callable[[Values], float] | None = None
    parameters_m: float = 1.0  # of the network without its head, in millions
    aliases: tuple[str, ...] = ()
    recommended: bool = False
    internal: bool = False
    strategies: bool = False
    without: tuple[str, ...] = ()
    embedder: Embedder | None = None

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All hyperparameters with their values; raises InvalidTrainingParams where one is not allowed, and where they
        contradict each other."""
        values = check(self.hyperparameters, given, self.id)
        self.plan_for(values)
        return values

    def defaults(self) -> dict[str, Any]:
        return {parameter.name: parameter.default for parameter in self.hyperparameters}

    def plan_for(self, values: Values) -> Plan:
        """What the engine does for checked values; raises InvalidTrainingParams where they contradict each other."""
        return self.plan(values)

    def check_gpus(self, given: Mapping[str, Any], gpus_online: int) -> None:
        """Raises InvalidTrainingParams where the caller asks for a GPU by name and no worker has one.

        The default of `num_gpus` is no such wish: a training that does not mention it uses what is there.
        """
        if given.get("num_gpus") and gpus_online < 1:
            raise InvalidTrainingParams("train_info.params.num_gpus is 1; no GPU worker online; use 0")

    def backbone_for(self, values: Values) -> str:
        """The network that checked values choose."""
        return self.backbone_at(values) if self.backbone_at else self.backbone

    def gflops_for(self, values: Values, text_bytes: float = 0.0) -> float:
        """Cost of one forward pass of one item, in GFLOPs; of a text of `text_bytes`, 0 where nobody knows how many."""
        gflops = self.gflops_at(values) if self.gflops_at else self.gflops
        usual = cost.tokens_read(self.defaults())
        return gflops * cost.tokens_read(values, text_bytes) / usual if usual else gflops
