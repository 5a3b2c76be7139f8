"""A dict of a configuration, of which every key must be accounted for. Next: `training`, which reads with it.

A key is read, or is ignored with a note, or says what the base says of it; any other is refused by its path. So what a
user writes is done, or is answered.
"""

import difflib
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, TypeVar

from luthier.catalog.own_config.read import NAME
from luthier.errors import InvalidTrainingParams, shown

Choice = TypeVar("Choice")
ANY: Any = object()  # of `only`: whatever is there changes nothing


class Section:
    """`path` is where it stands, `base` what the base says there, `notes` are for the training log."""

    def __init__(self, values: Any, base: Any, path: str, notes: list[str]) -> None:
        if not isinstance(values, Mapping):
            raise wrong(path, values, "a dict")
        self._left = dict(values)
        self._base = base if isinstance(base, Mapping) else {}
        self._known: list[str] = []
        self.path = path
        self.notes = notes

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def take(self, name: str, default: Any = None) -> Any:
        """Whatever is there."""
        self._known.append(name)
        return self._left.pop(name, default)

    def number(self, name: str, low: float, high: float, default: float) -> float:
        return checked_number(self.take(name, default), low, high, self.at(name))

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        found = self.take(name, default)
        if isinstance(found, bool) or not isinstance(found, int | float) or found != found // 1:
            raise wrong(self.at(name), found, f"a whole number from {low} to {high}")
        return int(checked_number(found, low, high, self.at(name)))

    def flag(self, name: str, default: bool) -> bool:
        found = self.take(name, default)
        if not isinstance(found, bool):
            raise wrong(self.at(name), found, "True or False")
        return found

    def choice(self, name: str, choices: Mapping[str, Choice], default: str = "") -> Choice:
        found = self.take(name, default)
        if not isinstance(found, str) or found not in choices:
            raise wrong(self.at(name), found, f"one of {', '.join(choices)}")
        return choices[found]

    def section(self, name: str) -> "Section | None":
        """The dict there; None where there is none."""
        found = self.take(name)
        return None if found is None else Section(found, self._base.get(name), self.at(name), self.notes)

    def sections(self, name: str) -> "list[Section]":
        """The dicts of the list there."""
        found = self.take(name)
        if found is not None and not isinstance(found, list):
            raise wrong(self.at(name), found, "a list of dicts")
        return [Section(one, {}, f"{self.at(name)}[{place}]", self.notes) for place, one in enumerate(found or [])]

    def only(self, name: str, *allowed: Any) -> None:
        """A key that may be there with a value that means what Luthier does anyway."""
        if name in self._left and (found := self.take(name)) not in allowed:
            raise wrong(self.at(name), found, " or ".join(ascii(one) for one in allowed) + ", or leave it out")

    def ignore(self, names: Iterable[str], why: str) -> None:
        """Keys that change nothing here, each with a note where it says anything at all."""
        for name in names:
            self.note(name, self.take(name), f"is ignored: {why}")

    def ignore_the_rest(self, why: str) -> None:
        if rest := ", ".join(self._left):
            self.notes.append(f"custom_config: of {self.path} is ignored: {shown(rest)}; {why}")
        self._left = {}

    def note(self, name: str, found: Any, what: str) -> None:
        """Where `found`, which stood there, says anything at all that the base does not."""
        if found not in (None, "", [], {}) and found != self._base.get(name):
            self.notes.append(f"custom_config: {self.at(name)} {what}")

    def at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def end(self) -> None:
        """Raises InvalidTrainingParams for a key that is left over and is not the base's own."""
        for name, value in self._left.items():
            _compare(self.at(name), value, self._base.get(name, ANY), self._known)


def _compare(path: str, value: Any, base: Any, known: list[str]) -> None:
    if value == base:
        return
    if base is ANY:
        near = difflib.get_close_matches(path.rpartition(".")[2], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"Luthier knows {', '.join(dict.fromkeys(known))} there"
        raise InvalidTrainingParams(f"{NAME}: {shown(path)} means nothing to Luthier; {hint}, or leave it out")
    if isinstance(value, Mapping) and isinstance(base, Mapping):
        for name, item in value.items():
            _compare(f"{path}.{name}", item, base.get(name, ANY), list(base))
        return
    raise wrong(path, value, f"{base!a}, as it is in this network, or leave it out")


def checked_number(found: Any, low: float, high: float, path: str) -> float:
    fine = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    if not fine or not low <= found <= high:
        raise wrong(path, found, f"a number from {low:g} to {high:g}")
    return float(found)


def wrong(path: str, found: Any, allowed: str) -> InvalidTrainingParams:
    return InvalidTrainingParams(f"{NAME}: {shown(path)} is {shown(ascii(found))}; give {allowed}")


def refuse(path: str, what: str) -> NoReturn:
    raise InvalidTrainingParams(f"{NAME}: {shown(path)} {what}")
