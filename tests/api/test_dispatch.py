"""One call through the dispatcher: status, errors, and what a failing function tells the outside."""

import pytest

from luthier.api.auth import Credentials
from luthier.api.dispatch import HTTP_STATUS, Dispatcher, find, request_id
from luthier.predictors.client import PredictorsClient
from luthier.store.blobs import Blobs
from luthier.wire.methods import BY_NAME
from tests.api import stub_rpcs
from tests.api.conftest import Running

_MADE: dict[int, Dispatcher] = {}


def dispatcher_of(server: Running) -> Dispatcher:
    """A dispatcher on the running server's database."""
    if id(server) not in _MADE:
        settings = server.settings
        blobs, predictors = Blobs(settings.blobs_folder), PredictorsClient(settings.predictors_socket)
        _MADE[id(server)] = Dispatcher(server.database, blobs, predictors, settings, [stub_rpcs])
    return _MADE[id(server)]


def answer(server: Running, model_id: str) -> object:
    method = BY_NAME["GetModel"]
    return dispatcher_of(server).answer(method, method.request(model_id=model_id), good(server))


def good(server: Running) -> Credentials:
    return Credentials(f"Key {server.token}", "127.0.0.1")


def test_success_is_filled_in(server: Running) -> None:
    done = answer(server, "m")
    status = done.message.status  # type: ignore[attr-defined]
    assert (status.code, status.description) == (10000, "Ok") and len(status.req_id) == 32
    assert done.http_status == 200 and done.caller == "luthier"  # type: ignore[attr-defined]


def test_an_error_becomes_the_status(server: Running) -> None:
    done = answer(server, "missing")
    status = done.message.status  # type: ignore[attr-defined]
    assert (status.code, status.description) == (21200, "Model does not exist")
    assert status.details == "model 'missing' does not exist in app 'a'" and status.req_id
    assert done.http_status == 404  # type: ignore[attr-defined]


def test_an_unexpected_failure_tells_nothing_but_is_logged(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    done = answer(server, "broken")
    status = done.message.status  # type: ignore[attr-defined]
    assert status.code == 10020 and done.http_status == 500  # type: ignore[attr-defined]
    assert "secret" not in str(done.message) and "Traceback" not in str(done.message)  # type: ignore[attr-defined]
    assert status.req_id in caplog.text and "RuntimeError" in caplog.text


def test_calls_that_nobody_wrote_are_named(server: Running) -> None:
    method = BY_NAME["PostWorkflows"]
    done = dispatcher_of(server).answer(method, method.request(), good(server))
    assert (done.code, done.http_status) == (10040, 404)
    assert "PostWorkflows" in done.message.status.details  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", [10000, 10010, 10020, 11101, 21200, 21355, 11005])
def test_a_status_that_was_asked_for_is_no_failure(server: Running, code: int) -> None:
    """GetStatusCode answers with the status itself; over REST the call went well whatever that status is about."""
    answered = server.ask("GET", f"/v2/status_codes/{code}", token=None)
    assert (answered.status, answered.code) == (200, code) and "retry-after" not in answered.headers
    assert answered.json["status"]["description"]


@pytest.mark.parametrize(("code", "status"), [("1", 404), ("999999", 404), ("x", 400), ("-1", 400), ("1e4", 400)])
def test_a_status_that_is_none_is_refused(server: Running, code: str, status: int) -> None:
    assert server.ask("GET", f"/v2/status_codes/{code}", token=None).status == status


def test_functions_are_found_where_they_are_written() -> None:
    assert find("GetModel", [stub_rpcs]) is stub_rpcs.GetModel
    assert find("Context", [stub_rpcs]) is None, "an imported name is no call"


def test_http_status_by_code() -> None:
    assert HTTP_STATUS[10000] == HTTP_STATUS[10010] == 200
    assert (HTTP_STATUS[11101], HTTP_STATUS[11008], HTTP_STATUS[21355]) == (404, 401, 503)


@pytest.mark.parametrize("prefix", ["sdk-python-12.5", None, "a\nb", "x" * 65, ""])
def test_request_ids_take_a_harmless_prefix(prefix: str | None) -> None:
    made = request_id(prefix)
    assert "\n" not in made and len(made) <= 97
    assert made.startswith("sdk-python-12.5-") == (prefix == "sdk-python-12.5")
