"""Model types, and every look-up from an id to a model type or a template. Next: `visual_classifier/`, then `template`.

A model type is a folder, its name the id with underscores; `__init__` declares it, every other file holds one TEMPLATE.
Nothing registers itself: the folder's listing is the list.
"""

import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from luthier.catalog.strategies import with_strategies
from luthier.catalog.template import Template
from luthier.errors import DoesNotExist, InvalidTrainingParams, shown

MODEL_TYPE_IDS = (
    "visual-classifier",
    "visual-detector",
    "visual-segmenter",
    "visual-embedder",
    "visual-anomaly-heatmap",
    "text-classifier",
    "text-to-text",
    "embedding-classifier",
    "clusterer",
)


@dataclass(frozen=True, kw_only=True)
class Field:
    """A field of a model type beside its templates' own. `path` is where the value goes in a model version.

    `kind` is the wire's name of the field's type. A default of None is none at all; 0, "" and () are defaults.
    """

    path: str
    kind: str
    description: str
    default: Any = None
    required: bool = False
    min: float | None = None
    max: float | None = None
    step: float | None = None
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path: the placeholder on the wire."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, kw_only=True)
class ModelType:
    """What a kind of model reads and returns, and the fields of a version of it in the documented order.

    `evaluation_type` is the wire's word: Undefined, Classification, Detection, Segmentation, Clustering, Generation.
    `trainable` says that models of the type come to be by training; whether this version of Luthier trains one, its
    templates say.
    """

    id: str
    title: str
    description: str
    input_fields: tuple[str, ...]
    output_fields: tuple[str, ...]
    evaluation_type: str
    fields: tuple[Field, ...]
    trainable: bool = True


@cache
def all_model_types() -> tuple[ModelType, ...]:
    """Every model type, in the order in which they are listed."""
    return tuple(_folder(id).MODEL_TYPE for id in MODEL_TYPE_IDS)


def model_type(id: str) -> ModelType:
    """The model type of that id; raises DoesNotExist naming those there are."""
    if id not in MODEL_TYPE_IDS:
        raise DoesNotExist(f"model type {shown(id)!r} does not exist; there are {', '.join(MODEL_TYPE_IDS)}")
    found: ModelType = _folder(id).MODEL_TYPE
    return found


@cache
def templates_of(model_type_id: str) -> tuple[Template, ...]:
    """The templates of a model type by name, internal ones and those that cannot be trained yet among them.

    Raises DoesNotExist for a model type that there is not.
    """
    folder = _folder(model_type(model_type_id).id)
    names = [module.name for module in pkgutil.iter_modules(folder.__path__)]
    templates = [with_strategies(importlib.import_module(f"{folder.__name__}.{name}").TEMPLATE) for name in names]
    return tuple(sorted(templates, key=lambda template: template.id))


@cache
def all_templates() -> tuple[Template, ...]:
    """The templates of every model type, model type after model type."""
    return tuple(template for id in MODEL_TYPE_IDS for template in templates_of(id))


def find_template(model_type_id: str, name: str) -> Template:
    """The template that `name` means for this model type: its id or one of its older names.

    Raises InvalidTrainingParams listing the nearest names, DoesNotExist for an unknown model type.
    """
    return _named(templates_of(model_type_id), name, f"model type {model_type_id}")


def input_kind(template: Template) -> str:
    """What the template's models read, "image" or "text": what their type says, or what their embedder reads."""
    return template.embedder.reads if template.embedder else model_type(template.model_type).input_fields[0]


def input_kind_of(model_type_id: str, template_id: str) -> str:
    """The same of a trained model, by what it was trained as; only of a transfer the template matters."""
    kind = model_type(model_type_id).input_fields[0]
    return kind if kind != "embeddings" else input_kind(find_template(model_type_id, template_id))


def find_any_template(name: str) -> Template:
    """The same over every model type; where several have the name, the first in their order."""
    return _named(all_templates(), name, "Luthier")


def _named(templates: tuple[Template, ...], name: str, owner: str) -> Template:
    for template in templates:
        if name == template.id or name in template.aliases:
            return template
    raise InvalidTrainingParams(f"train_info.params.template is {shown(name)!r}; {_nearest(templates, name, owner)}")


def _nearest(templates: tuple[Template, ...], name: str, owner: str) -> str:
    ids = [template.id for template in templates]
    if not ids:
        return f"{owner} has no templates"
    by_lower = {id.lower(): id for id in ids}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=3, cutoff=0.5)
    if near:
        return f"{owner} has no such template; the nearest are {', '.join(by_lower[lower] for lower in near)}"
    return f"{owner} has no such template; it has {', '.join(dict.fromkeys(ids))}"


def _folder(model_type_id: str) -> ModuleType:
    return importlib.import_module(f"luthier.catalog.{model_type_id.replace('-', '_')}")
