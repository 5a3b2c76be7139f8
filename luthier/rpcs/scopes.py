"""The names of what a token may do, as the wire's descriptors have them. Next: `keys`, which gives them to tokens."""

import difflib
from collections.abc import Sequence

from clarifai_grpc.grpc.api import service_pb2
from clarifai_grpc.grpc.auth.scope import scope_pb2

from luthier.errors import InvalidRequest, shown
from luthier.rpcs.context import Context, user_of

ALL = "All"
KNOWN = frozenset(scope_pb2.S.keys()) - {"undef"}


def ListScopes(ctx: Context, request: service_pb2.ListScopesRequest) -> service_pb2.MultiScopeDepsResponse:
    """Every scope that the wire offers to users, with those that it is of no use without."""
    user_of(ctx, request.user_app_id)
    answer = service_pb2.MultiScopeDepsResponse()
    for value in scope_pb2.S.DESCRIPTOR.values:
        options = value.GetOptions()
        if options.Extensions[scope_pb2.clarfai_exposed]:
            needed = options.Extensions[scope_pb2.clarifai_depending_scopes]
            answer.scope_deps.add(scope=value.name, depending_scopes=[scope_pb2.S.Name(each) for each in needed])
    return answer


def checked_scopes(names: Sequence[str], field: str) -> list[str]:
    """Each once, in the order sent; raises InvalidRequest where there are none, or one that is no scope."""
    if not names:
        raise InvalidRequest(f"{field} is empty; give {ALL}, or the scopes that the token shall have")
    for name in names:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 3) if len(name) < 100 else []
            hint = f"near: {', '.join(near)}" if near else "ListScopes lists them"
            raise InvalidRequest(f"{field} names {shown(name)!r}, which is no scope; {hint}")
    return list(dict.fromkeys(names))
