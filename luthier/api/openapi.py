"""The OpenAPI 3.1 document of every call that is served, made from the wire's descriptors. Next: `schemas`.

Nothing is written by hand: a call's words are its function's docstring, its paths and scopes the wire's.
"""

import asyncio
import inspect
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from types import ModuleType
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from luthier import __version__
from luthier.api.dispatch import find
from luthier.api.health import only_get
from luthier.api.http import JSON_HEADERS, Request, Response
from luthier.api.schemas import Json, Schemas
from luthier.wire.methods import METHODS, Auth, Method, Route

_PARAMETER = re.compile(r"\{([^}]+)\}")
_ABOUT = (
    "Luthier speaks Clarifai's v2 API: fine-tune pre-trained models on your own data, on your own machine. Every "
    "answer has a `status` whose `code` is 10000 where all went well; the same calls are served over gRPC."
)
_SECURITY = {
    "type": "apiKey",
    "in": "header",
    "name": "Authorization",
    "description": "`Key <token>` or `Bearer <token>`; `luthier token create` makes one",
}


class OpenApi:
    """/openapi.json: made at the first request, then kept."""

    def __init__(self, modules: Sequence[ModuleType], threads: Executor) -> None:
        self._modules, self._threads, self._text = modules, threads, b""

    async def page(self, request: Request) -> Response:
        only_get(request)
        if not self._text:
            self._text = await asyncio.get_running_loop().run_in_executor(self._threads, self._make)
        return Response(200, self._text, JSON_HEADERS)

    def _make(self) -> bytes:
        return json.dumps(document(self._modules), separators=(",", ":")).encode()


def document(modules: Sequence[ModuleType]) -> Json:
    """Of the calls that the modules' functions answer."""
    schemas, paths = Schemas(), _Paths()
    for method in METHODS:
        function = None if method.streaming else find(method.name, modules)
        if function is not None:
            for number, route in enumerate(method.routes):
                operation = _operation(method, route, number, function, schemas)
                paths.add(route, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Luthier", "version": __version__, "description": _ABOUT},
        "paths": paths.found,
        "components": {"schemas": schemas.found, "securitySchemes": {"key": _SECURITY}},
    }


class _Paths:
    """Paths by their templates. Two that differ in the names of parameters alone are one to OpenAPI."""

    def __init__(self) -> None:
        self.found: dict[str, Json] = {}
        self._by_shape: dict[str, str] = {}

    def add(self, route: Route, operation: Json) -> None:
        """The first of two calls with one path and verb counts, as in `routes`."""
        template = self._by_shape.setdefault(_PARAMETER.sub("{}", route.path), _without_dots(route.path))
        names = zip(_PARAMETER.findall(route.path), _PARAMETER.findall(template), strict=True)
        own = [_path_parameter(field, shown) for field, shown in names]
        operation["parameters"] = own + operation["parameters"]
        self.found.setdefault(template, {}).setdefault(route.verb.lower(), operation)


def _without_dots(path: str) -> str:
    """{user_app_id.user_id} as {user_id}: many programs that read such documents cannot do with dots in these names."""
    return _PARAMETER.sub(lambda found: "{" + found[1].rpartition(".")[2] + "}", path)


def _path_parameter(field: str, name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}, "description": field}


def _operation(method: Method, route: Route, number: int, function: Any, schemas: Schemas) -> Json:
    text = inspect.getdoc(function) or ""
    operation: Json = {
        "operationId": method.name if not number else f"{method.name}_{number + 1}",
        "tags": [function.__module__.rpartition(".")[2]],
        "summary": method.name,
        "description": text,
        "parameters": [],
        "responses": _responses(method, schemas),
        "security": [] if method.auth is Auth.NONE else [{"key": sorted(method.scopes)}],
    }
    given = set(_PARAMETER.findall(route.path))
    if route.verb == "GET":
        operation["parameters"] = list(_query(method.request.DESCRIPTOR, given, schemas))
    else:
        body = schemas.reference(method.request.DESCRIPTOR)
        operation["requestBody"] = {"content": {"application/json": {"schema": body}}}
    return operation


def _responses(method: Method, schemas: Schemas) -> Json:
    content = {"application/json": {"schema": schemas.reference(method.response.DESCRIPTOR)}}
    return {
        "200": {"description": "Done; `status.code` is 10010 where some items failed", "content": content},
        "default": {"description": "Refused: `status` says why", "content": content},
    }


def _query(descriptor: Descriptor, given: set[str], schemas: Schemas) -> Iterator[Json]:
    """One parameter per field that the path does not hold; one level of nested fields by dotted names."""
    for field in descriptor.fields:
        if field.message_type is None:
            names = [(field.name, field)]
        elif field.is_repeated:
            continue
        else:
            names = [(f"{field.name}.{each.name}", each) for each in _scalars(field.message_type)]
        for name, leaf in names:
            if name not in given:
                yield {"name": name, "in": "query", "schema": schemas.of_field(leaf)}


def _scalars(descriptor: Descriptor) -> list[FieldDescriptor]:
    return [field for field in descriptor.fields if field.message_type is None]
