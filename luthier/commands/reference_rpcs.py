"""The page of all calls for docs/reference: what is served, by which routes and scopes, and what is not.

Made from the wire's descriptors and the functions in `rpcs`, as the OpenAPI document is. Next: `reference_docs`.
"""

import inspect
from collections.abc import Iterable, Sequence

from luthier import rpcs
from luthier.api.dispatch import find
from luthier.wire.methods import METHODS, Auth, Method

ABOUT = """\
Luthier speaks Clarifai's v2 API, over gRPC (service `clarifai.api.V2`) and over REST, and adds a few calls of its own
(service `luthier.v1.Luthier`). Both transports lead to the same functions. `/openapi.json` of a running server has
every field and every route, `/docs` shows it.

A token needs all scopes of a call; one with the scope `All` may do everything. Calls marked *user* take a token of the
user, not one that is limited to an app. `A` stands for `/v2/users/{user_id}/apps/{app_id}`, `U` for
`/v2/users/{user_id}`; most calls have further routes without them, such as `/v2/inputs`, where `user_app_id` goes into
the body or the query.
"""
NOT_SERVED = """\
These calls of the wire answer 10040, over REST with HTTP 404, and do nothing. Whoever calls them needs a valid token
all the same.
"""
APP, USER = "/v2/users/{user_app_id.user_id}/apps/{user_app_id.app_id}", "/v2/users/{user_app_id.user_id}"


def served() -> list[Method]:
    return [method for method in METHODS if not method.streaming and find(method.name, rpcs.MODULES)]


def rpcs_page(note: str) -> str:
    names = {method.name for method in served()}
    others = sorted(method.name for method in METHODS if method.name not in names)
    parts = [note, "# Calls\n", ABOUT, f"This version serves {len(names)} calls of {len(METHODS)}.\n"]
    for module in rpcs.MODULES:
        own = [method for method in served() if find(method.name, [module])]
        if own:
            parts += [f"## {_title(module.__name__)}\n", _table(_row(method) for method in own)]
    parts += ["## Not served\n", NOT_SERVED, f"{', '.join(f'`{name}`' for name in others)}.\n"]
    return "\n".join(parts)


def _title(module: str) -> str:
    return module.rpartition(".")[2].replace("_", " ").capitalize()


def _row(method: Method) -> list[str]:
    function = find(method.name, rpcs.MODULES)
    about = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    return [f"`{method.name}`", _route(method), _scopes(method), about]


def _route(method: Method) -> str:
    first = method.routes[0]
    path = first.path.replace(APP, "A").replace(USER, "U").replace("user_app_id.", "")
    return f"{first.verb} `{path}`"


def _scopes(method: Method) -> str:
    if method.auth is Auth.NONE:
        return "no token needed"
    scopes = ", ".join(sorted(method.scopes)) or "none"
    return scopes if method.auth is Auth.KEY else f"*user*: {scopes}"


def _table(rows: Iterable[Sequence[str]]) -> str:
    heads = ("Call", "Route", "Scopes", "What it does")
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows)) + "\n"
