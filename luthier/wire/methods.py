"""Every call that can arrive, read from the service descriptors: routes, messages, scopes. No route is written by hand.

Next: `api/rest.py` and `api/grpc_server.py`, which both serve this table, and `api/dispatch.py`, which runs a Method.
"""

from dataclasses import dataclass
from enum import Enum

from clarifai_grpc.grpc.api import service_pb2
from clarifai_grpc.grpc.auth.scope import scope_pb2
from clarifai_grpc.grpc.auth.types import types_pb2
from clarifai_grpc.grpc.auth.util import extension_pb2
from google.api import annotations_pb2
from google.api.http_pb2 import HttpRule
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from luthier.wire import luthier_pb2


class Auth(Enum):
    """Who may call, as the descriptor's cl_auth_type says."""

    NONE = types_pb2.NoAuth
    KEY = types_pb2.KeyAuth  # a token, of a user or of one app
    SESSION = types_pb2.SessionTokenAuth  # the portal's own sign-in
    ADMIN = types_pb2.AdminAuth
    USER = types_pb2.PATAuth  # a token of a user


@dataclass(frozen=True)
class Route:
    """One http binding. `body` is "*" where the whole request is the body, "" where there is none."""

    verb: str  # GET, POST, PATCH, DELETE, PUT
    path: str  # /v2/users/{user_app_id.user_id}/…
    body: str


@dataclass(frozen=True, eq=False)
class Method:
    name: str
    service: str  # full name, such as clarifai.api.V2
    request: type[Message]
    response: type[Message]
    routes: tuple[Route, ...]
    scopes: frozenset[str]  # all of them are needed
    auth: Auth
    client_streaming: bool
    server_streaming: bool

    @property
    def grpc_path(self) -> str:
        return f"/{self.service}/{self.name}"

    @property
    def streaming(self) -> bool:
        return self.client_streaming or self.server_streaming


_VERBS = {"get": "GET", "post": "POST", "patch": "PATCH", "delete": "DELETE", "put": "PUT"}


def _route(rule: HttpRule) -> Route:
    pattern = rule.WhichOneof("pattern")
    if pattern not in _VERBS:
        raise ValueError(f"http rule without a known verb: {rule}")
    return Route(_VERBS[pattern], getattr(rule, pattern), rule.body)


def _routes(descriptor: MethodDescriptor) -> tuple[Route, ...]:
    rule = descriptor.GetOptions().Extensions[annotations_pb2.http]
    return tuple(_route(each) for each in (rule, *rule.additional_bindings))


def _method(service: ServiceDescriptor, descriptor: MethodDescriptor) -> Method:
    options = descriptor.GetOptions()
    return Method(
        name=descriptor.name,
        service=service.full_name,
        request=GetMessageClass(descriptor.input_type),
        response=GetMessageClass(descriptor.output_type),
        routes=_routes(descriptor),
        scopes=frozenset(scope_pb2.S.Name(s) for s in options.Extensions[extension_pb2.cl_depending_scopes]),
        auth=Auth(options.Extensions[extension_pb2.cl_auth_type]),
        client_streaming=descriptor.client_streaming,
        server_streaming=descriptor.server_streaming,
    )


SERVICES: tuple[ServiceDescriptor, ...] = (
    service_pb2.DESCRIPTOR.services_by_name["V2"],
    luthier_pb2.DESCRIPTOR.services_by_name["Luthier"],
)
METHODS: tuple[Method, ...] = tuple(_method(service, each) for service in SERVICES for each in service.methods)
BY_NAME: dict[str, Method] = {method.name: method for method in METHODS}
