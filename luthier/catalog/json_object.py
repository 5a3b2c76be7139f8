"""A hyperparameter that is a JSON object: which keys it may have, each checked as a hyperparameter of its own.

What is not declared is refused, so no key of a library that runs code or reads files gets through. Next: `text_keys`.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from luthier.catalog.hyperparameters import Hyperparameter, Json, String, WrongWithinError, as_given
from luthier.errors import shown

Keys = tuple[Hyperparameter, ...]
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(/[A-Za-z0-9][A-Za-z0-9_.-]*)?")
MODULE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")


@dataclass(frozen=True, kw_only=True)
class JsonObject(Json):
    """An object of `keys`. A key that is left out keeps its value in `default`, where it has one there.

    `chooser` names the key whose value says which of `variants` may stand beside `keys`.
    """

    keys: Keys
    chooser: str = ""
    variants: Mapping[str, Keys] = field(default_factory=dict)

    def allowed(self) -> str:
        return "a JSON object with keys of " + ", ".join(key.name for key in self.all_keys())

    def all_keys(self) -> Keys:
        """Whatever the chooser says."""
        found = {key.name: key for keys in (self.keys, *self.variants.values()) for key in keys}
        return tuple(found.values())

    def checked(self, value: Any) -> dict[str, Any]:
        """`value` with what it leaves out taken from `default`; raises WrongWithinError that names the key."""
        given = super().checked(value)
        keys = {key.name: key for key in self._keys_for(given)}
        for name, item in given.items():
            if name not in keys:
                raise WrongWithinError(f".{shown(name)}: there is no such key; {_hint(name, list(keys))}")
            given[name] = _checked(keys[name], item)
        kept = {name: item for name, item in self.default.items() if name in keys}
        return {**kept, **given}

    def _keys_for(self, given: Mapping[str, Any]) -> Keys:
        if not self.chooser or not (given or self.default):
            return self.keys
        chooser = next(key for key in self.keys if key.name == self.chooser)
        chosen = given.get(self.chooser, self.default.get(self.chooser))
        if chosen is None:
            raise WrongWithinError(f".{self.chooser} is missing; give {chooser.allowed()}")
        return self.keys + self.variants.get(_checked(chooser, chosen), ())


@dataclass(frozen=True, kw_only=True)
class Only(Hyperparameter):
    """A key that libraries write themselves: it may be there with the one value that means what Luthier does anyway."""

    def allowed(self) -> str:
        return f"{as_given(self.default)}, or leave it out"

    def checked(self, value: Any) -> Any:
        if type(value) is not type(self.default) or value != self.default:
            raise ValueError
        return value


@dataclass(frozen=True, kw_only=True)
class ModelName(String):
    """The name of a model in the weights folder: a hub's name, never a path or a URL."""

    def allowed(self) -> str:
        return "the name of a model in the weights folder, as EleutherAI/gpt-neo-125m; never a path or a URL"

    def checked(self, value: Any) -> str:
        name = super().checked(value)
        if len(name) > 200 or not MODEL_NAME.fullmatch(name):
            raise ValueError
        return name


@dataclass(frozen=True, kw_only=True)
class ModuleNames(Hyperparameter):
    """Names of layers, by their last part ("q_proj"); where `all_linear`, also that one word."""

    all_linear: bool = True

    def allowed(self) -> str:
        text = 'a list of 1 to 64 names of layers, as ["q_proj", "v_proj"]'
        return text + (', or "all-linear"' if self.all_linear else "")

    def checked(self, value: Any) -> list[str] | str:
        if self.all_linear and value == "all-linear":
            return "all-linear"
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not 1 <= len(value) <= 64:
            raise ValueError
        if not all(isinstance(name, str) and MODULE_NAME.fullmatch(name) for name in value):
            raise ValueError
        return list(value)


def complete(keys: Keys, given: Mapping[str, Any]) -> dict[str, Any]:
    """A checked object with the defaults of those keys that it leaves out."""
    return {key.name: key.default for key in keys} | dict(given)


def _checked(key: Hyperparameter, value: Any) -> Any:
    try:
        return key.checked(value)
    except WrongWithinError as fault:
        raise WrongWithinError(f".{key.name}{fault}") from None
    except ValueError:
        raise WrongWithinError(f".{key.name} is {as_given(value)}; give {key.allowed()}") from None


def _hint(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else "it may have " + ", ".join(known)
