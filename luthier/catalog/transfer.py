"""What the templates of embedding-classifier share: a head on the vectors of an embedder that stays as it is.

Next: `embedders`, `embedding_classifier/`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from luthier.catalog import vocabulary
from luthier.catalog.embedders import Embedder
from luthier.catalog.hyperparameters import Boolean, Enum, Hyperparameter, Range, String
from luthier.catalog.plan import Plan
from luthier.catalog.template import Template
from luthier.catalog.translation import patience_notes

Values = Mapping[str, Any]
SMALLEST_EPOCH = 1000  # examples: a head needs some hundred steps, which cost next to nothing


@dataclass(frozen=True)
class TransferPlan(Plan):
    """Plan of the family that learns from vectors."""

    mutually_exclusive: bool = False  # True: softmax and cross entropy; False: a sigmoid per concept
    head_hidden_layers: int = 0  # 0: the head is linear
    head_hidden_width: int = 256
    dropout: float = 0.0  # after each hidden layer
    regularization: float = 0.0  # of the layer that maps to concepts: 1 / C of logistic regression


def plan(values: Values) -> TransferPlan:
    """AdamW along a cosine. A linear head comes out as logistic regression, on as many inputs as there are."""
    patience, epochs = values["early_stopping_epochs"], values["num_epochs"]
    note = "enrich_dataset adds nothing here: Luthier brings no ready-made negative examples, yours alone are learnt"
    return TransferPlan(
        epochs=epochs,
        batch_size=values["batch_size"],
        learning_rate=values["learning_rate"],
        weight_decay=values["weight_decay"],
        early_stopping_epochs=patience,
        least_examples_per_epoch=SMALLEST_EPOCH,
        notes=(*([note] if values["enrich_dataset"] == "Automatic" else []), *patience_notes(patience, epochs)),
        mutually_exclusive=values["concepts_mutually_exclusive"],
        head_hidden_layers=values["head_hidden_layers"],
        head_hidden_width=values["head_hidden_width"],
        dropout=values["dropout"],
        regularization=values["regularization"],
    )


def unless_named(weights: str) -> Callable[[Values], str]:
    """`weights` of a template: none are needed where the request names an embedder that was trained."""
    return lambda values: "" if values["base_embed_model"] else weights


def template(id: str, embedder: Embedder, description: str) -> Template:
    return Template(
        id=id,
        model_type="embedding-classifier",
        description=description,
        recipe="embedding_classification",
        backbone=embedder.backbone,
        weights=unless_named(embedder.weights),
        embedder=embedder,
        plan=plan,
        gflops=embedder.gflops,
        parameters_m=embedder.parameters_m,
        recommended=True,
        hyperparameters=HYPERPARAMETERS,
    )


def base_embed_model() -> String:
    text = "Model of the app, a trained visual-embedder, whose vectors are learnt from; none: see the template"
    return String(name="base_embed_model", default="", description=text)


def enrich_dataset() -> Enum:
    text = "Accepted for Clarifai's clients; Luthier brings no ready-made negative examples, so both mean the same"
    return Enum(name="enrich_dataset", default="Automatic", options=("Automatic", "Disabled"), description=text)


def head_hidden_layers() -> Range:
    text = "Hidden layers of the head; 0 makes it linear, which is best for few examples"
    return Range(name="head_hidden_layers", default=0, min=0, max=3, step=1, description=text)


def head_hidden_width() -> Range:
    return Range(
        name="head_hidden_width", default=256, min=8, max=4096, step=1, description="Width of the head's hidden layers"
    )


def dropout() -> Range:
    text = "Share of the features of a hidden layer that the head does without at each step of training"
    return Range(name="dropout", default=0.2, min=0, max=0.9, description=text)


def regularization() -> Range:
    text = "Pull of the head towards not telling concepts apart: 1 / C of logistic regression, for vectors of length 1"
    return Range(name="regularization", default=0.3, min=0, max=1000, description=text)


def concepts_mutually_exclusive() -> Boolean:
    text = "true: exactly one concept fits each input (softmax); false: any number may fit (sigmoid)"
    return Boolean(name="concepts_mutually_exclusive", default=False, description=text)


HYPERPARAMETERS: tuple[Hyperparameter, ...] = (
    vocabulary.seed(),
    vocabulary.num_gpus(),
    base_embed_model(),
    enrich_dataset(),
    vocabulary.batch_size(128, most=4096),
    vocabulary.num_epochs(20, most=1000),
    vocabulary.learning_rate(0.01),
    vocabulary.weight_decay(0.0),
    regularization(),
    head_hidden_layers(),
    head_hidden_width(),
    dropout(),
    vocabulary.early_stopping_epochs(),
    concepts_mutually_exclusive(),
)
