"""/openapi.json and the page that shows it: every call that is served, as it is served."""

import base64
import hashlib
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from luthier import rpcs
from luthier.api.dispatch import find
from luthier.api.openapi import document
from luthier.api.routes import Routes
from luthier.wire.methods import BY_NAME, METHODS
from tests.api.conftest import Running

VERBS = {"get", "post", "patch", "delete", "put"}
WHOLE = document(rpcs.MODULES)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, verb, call) for path, calls in WHOLE["paths"].items() for verb, call in calls.items()]


def test_every_served_call_is_in_it_and_no_other() -> None:
    served = {method.name for method in METHODS if find(method.name, rpcs.MODULES) and not method.streaming}
    assert {call["summary"] for _, _, call in operations()} == served
    assert {"PostModelVersions", "CancelModelVersion", "PostKeys"} <= served
    ids = [call["operationId"] for _, _, call in operations()]
    assert len(ids) == len(set(ids))


def test_every_path_reaches_the_call_that_it_names() -> None:
    routes = Routes(METHODS)
    for path, verb, call in operations():
        target, _ = routes.find(verb.upper(), re.sub(r"\{[^}]+\}", "x", path).encode())
        assert target.method.name == call["summary"], f"{verb} {path}"
        named = [one["name"] for one in call["parameters"] if one["in"] == "path"]
        assert sorted(named) == sorted(re.findall(r"\{([^}]+)\}", path))


def test_it_is_openapi_by_the_standards_own_schema() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(WHOLE).iter_errors()] == []


def test_names_in_paths_are_plain_and_single() -> None:
    """Generators of clients make identifiers of them; the field that each one fills stands in its description."""
    for path, _, _ in operations():
        names = re.findall(r"\{([^}]+)\}", path)
        assert len(names) == len(set(names)) and all(name.isidentifier() for name in names), path
    call = WHOLE["paths"]["/v2/users/{user_id}/apps/{app_id}/inputs"]["post"]
    assert [one["description"] for one in call["parameters"]] == ["user_app_id.user_id", "user_app_id.app_id"]


def test_every_reference_is_there() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            mine = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return mine + [each for inner in value.values() for each in references(inner)]
        return [each for inner in value for each in references(inner)] if isinstance(value, list) else []

    found = set(references(WHOLE))
    names = {each.removeprefix("#/components/schemas/") for each in found}
    assert names == set(WHOLE["components"]["schemas"])
    assert all(set(calls) <= VERBS for calls in WHOLE["paths"].values())


def test_fields_look_as_they_do_in_answers() -> None:
    schemas = WHOLE["components"]["schemas"]
    concept = schemas["clarifai.api.Concept"]["properties"]
    assert concept["value"]["default"] == 1.0 and concept["created_at"]["format"] == "date-time"
    assert schemas["clarifai.api.Image"]["properties"]["base64"]["contentEncoding"] == "base64"
    assert schemas["clarifai.api.Data"]["properties"]["concepts"]["type"] == "array"
    assert 10000 in schemas["clarifai.api.status.StatusCode"]["enum"]


def test_scopes_and_words_are_told() -> None:
    call = WHOLE["paths"]["/v2/users/{user_id}/apps/{app_id}/inputs"]["get"]
    assert call["security"] == [{"key": sorted(BY_NAME["ListInputs"].scopes)}]
    assert {"page", "per_page", "status.code"} <= {one["name"] for one in call["parameters"]}
    assert WHOLE["paths"]["/v2/status_codes"]["get"]["security"] == []
    cancel = next(call for _, _, call in operations() if call["summary"] == "CancelModelVersion")
    assert "21106" in cancel["description"]


def test_it_is_served_without_a_token(server: Running) -> None:
    answer = server.ask("GET", "/openapi.json", token=None)
    assert answer.status == 200 and answer.headers["content-type"] == "application/json"
    assert answer.json["openapi"] == "3.1.0"
    assert answer.body == server.ask("GET", "/openapi.json").body
    assert {call["summary"] for calls in answer.json["paths"].values() for call in calls.values()} >= {"GetModel"}


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/metrics"])
def test_pages_answer_get_alone(server: Running, path: str) -> None:
    assert server.ask("POST", path, {}).status == 405


def test_the_page_needs_nothing_from_elsewhere(server: Running) -> None:
    answer = server.ask("GET", "/docs", token=None)
    page, policy = answer.body.decode(), answer.headers["content-security-policy"]
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    assert "http://" not in page and "https://" not in page and " src=" not in page
    assert "default-src 'none'" in policy
    for tag in ("script", "style"):
        text = page.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
