"""The tree of REST paths, made from the table of calls: literal segments win over parameters. Next: `rest`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from luthier.api.json_values import MisfitError, converter
from luthier.errors import DoesNotExist, InvalidRequest, MethodNotAllowed, shown
from luthier.wire.methods import Method, Route

SetField = Callable[[Any, str], None]  # (request message, text of the segment)


@dataclass(frozen=True, eq=False)
class Target:
    """What a verb on a path calls. `setters` take the parameters' texts in the order of the path."""

    method: Method
    reads_body: bool
    body_may_be_empty: bool
    setters: tuple[SetField, ...]

    def set_path(self, message: Message, values: list[str]) -> None:
        for setter, value in zip(self.setters, values, strict=True):
            setter(message, value)


@dataclass(eq=False)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    targets: dict[str, Target] = field(default_factory=dict)  # by verb


class Routes:
    def __init__(self, methods: Iterable[Method]) -> None:
        self._root = _Node()
        for method in methods:
            for route in method.routes:
                self._add(method, route)

    def find(self, verb: str, raw_path: bytes) -> tuple[Target, list[str]]:
        """The target and its parameters' texts. Raises DoesNotExist, MethodNotAllowed, InvalidRequest.

        `raw_path` is as sent: segments are split before they are decoded, one trailing slash is optional.
        """
        segments = [_decoded(part) for part in raw_path.removesuffix(b"/").split(b"/")[1:]]
        others: set[str] = set()
        found = _find(self._root, segments, 0, verb, others)
        if found:
            target, values = found
            return target, values[::-1]
        path = shown(raw_path.decode("latin-1"))
        if others:
            raise MethodNotAllowed(f"{path} answers {', '.join(sorted(others))}, not {shown(verb, 20)}")
        raise DoesNotExist(f"there is no {path}; the API's paths begin with /v2/")

    def _add(self, method: Method, route: Route) -> None:
        node, fields = self._root, []
        for part in route.path.split("/")[1:]:
            if part.startswith("{"):
                fields.append(part[1:-1])
                node.parameter = node = node.parameter or _Node()
            else:
                node = node.literal.setdefault(part, _Node())
        if route.verb not in node.targets:  # the first of two calls with one path wins
            node.targets[route.verb] = _target(method, route, fields)


def _find(node: _Node, segments: list[str], at: int, verb: str, others: set[str]) -> tuple[Target, list[str]] | None:
    """Depth first, literals first; parameters come back last first. `others` collects verbs of the path itself."""
    if at == len(segments):
        others.update(node.targets)
        target = node.targets.get(verb)
        return (target, []) if target else None
    part = segments[at]
    literal = node.literal.get(part)
    found = _find(literal, segments, at + 1, verb, others) if literal else None
    if found is None and node.parameter and part:
        found = _find(node.parameter, segments, at + 1, verb, others)
        if found:
            found[1].append(part)
    return found


def _decoded(part: bytes) -> str:
    if b"%" not in part:
        return part.decode("ascii")
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest(f"the path holds {shown(part.decode('latin-1'))!r}, which is not UTF-8") from None
    if "/" in text or "\\" in text or any(ord(character) < 32 for character in text):
        raise InvalidRequest(f"an id in the path is {shown(text)!r}: slashes and control characters are not allowed")
    return text


def _target(method: Method, route: Route, fields: list[str]) -> Target:
    descriptor: Descriptor = method.request.DESCRIPTOR
    given = {name.partition(".")[0] for name in fields}
    complete = given == {each.name for each in descriptor.fields}  # a body could add nothing
    return Target(
        method=method,
        reads_body=route.verb != "GET",
        body_may_be_empty=route.verb == "DELETE" or complete,
        setters=tuple(_setter(descriptor, name) for name in fields),
    )


def _setter(descriptor: Descriptor, path: str) -> SetField:
    *above, last = path.split(".")
    for name in above:
        descriptor = descriptor.fields_by_name[name].message_type
    leaf = descriptor.fields_by_name[last]
    convert = converter(leaf)
    plain_text = leaf.cpp_type == FieldDescriptor.CPPTYPE_STRING and leaf.type != FieldDescriptor.TYPE_BYTES

    def set_field(message: Any, text: str) -> None:
        for name in above:
            message = getattr(message, name)
        try:
            setattr(message, last, text if plain_text else convert(text))
        except MisfitError as misfit:
            misfit.path.append(path)
            raise misfit.error() from None

    return set_field
