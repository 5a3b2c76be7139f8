"""REST over real sockets: paths, bodies, browsers, limits. Functions are stubs that echo."""

import gzip
import json
import logging
import socket
import time
from urllib.parse import quote

import pytest

from luthier.api.access_log import JsonFormatter, TextFormatter
from luthier.api.routes import Routes
from luthier.errors import MethodNotAllowed
from luthier.wire.methods import METHODS
from tests.api.conftest import Running

APP = "/v2/users/u/apps/a"


def test_path_parameters_reach_the_message(server: Running) -> None:
    model = server.ask("GET", f"{APP}/models/m?version_id=v").json["model"]
    assert (model["user_id"], model["app_id"], model["id"], model["model_version"]["id"]) == ("u", "a", "m", "v")


@pytest.mark.parametrize("path", [f"{APP}/models/m/", "/v2/models/m?user_app_id.app_id=a&user_app_id.user_id=u"])
def test_trailing_slash_and_dotted_query(server: Running, path: str) -> None:
    model = server.ask("GET", path).json["model"]
    assert (model["id"], model["app_id"], model["user_id"]) == ("m", "a", "u")


@pytest.mark.parametrize("id", ["Äpfel", "a b", "100%", "a+b", "ﬁ", "x?y#z"])
def test_percent_decoding(server: Running, id: str) -> None:
    assert server.ask("GET", f"{APP}/models/{quote(id, safe='')}").json["model"]["id"] == id


def test_literal_segments_win(server: Running) -> None:
    assert server.ask("GET", f"{APP}/models/types").code == 10040  # ListModelTypes has no stub
    assert "ListModelTypes" in server.ask("GET", "/v2/models/types/").details
    assert server.ask("DELETE", f"{APP}/models/types").status == 200, "as an id it is data"


def test_every_route_of_the_service_finds_its_call() -> None:
    routes, missed = Routes(METHODS), []
    for method in METHODS:
        for route in method.routes:
            target, _ = routes.find(route.verb, route.path.replace("{", "p").replace("}", "").encode())
            if target.method is not method:
                missed.append(f"{route.verb} {route.path}")
    twice = {"compute_clusters", "pipelines"}  # paths that the published descriptors give to two calls
    assert len(missed) == 4 and all(any(name in path for name in twice) for path in missed), missed


def test_the_path_wins_over_body_and_query(server: Running) -> None:
    body = {"user_app_id": {"user_id": "me", "app_id": "other"}, "models": [{"id": "m"}]}
    assert server.ask("POST", "/v2/users/u/apps/a/models?user_app_id.app_id=third", body).json["model"]["id"] == "m"
    target, values = Routes(METHODS).find("POST", b"/v2/users/u/apps/a/models")
    message = target.method.request()
    message.user_app_id.app_id = "other"
    target.set_path(message, values)
    assert (message.user_app_id.user_id, message.user_app_id.app_id) == ("u", "a")


# -- query ------------------------------------------------------------------------------------------------------------


def test_bad_B10_paging_numbers_from_the_query(server: Running) -> None:
    assert server.ask("GET", f"{APP}/models?page=2&per_page=3").json["models"][0]["notes"] == "2/3"
    for value in ("-1", "4294967296", "1.5", "x", ""):
        answer = server.ask("GET", f"{APP}/models?page={value}")
        assert (answer.status, answer.code) == (400, 11100), value


def test_bad_B14_query_parameters(server: Running) -> None:
    assert server.ask("GET", f"{APP}/models?nonsense=1&nonsense=2&a.b.c=d").status == 200
    assert server.ask("GET", f"{APP}/models?page=1&page=2").status == 400
    assert server.ask("GET", f"{APP}/models?perPage=7").json["models"][0]["notes"] == "0/7"
    assert server.ask("GET", f"{APP}/models?page.x=1").status == 400
    assert server.ask("GET", f"{APP}/models?user_app_id=x").status == 400
    assert server.ask("GET", f"{APP}/models?q=%ff").status == 400


# -- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b"{"])
def test_bad_C1_post_without_an_object(server: Running, body: bytes) -> None:
    answer = server.ask("POST", f"{APP}/models", body)
    assert (answer.status, answer.code) == (400, 11100) and answer.json["status"]["req_id"]


def test_a_body_that_could_add_nothing_may_be_empty(server: Running) -> None:
    answer = server.ask("POST", f"{APP}/models/m/versions/v/cancel")
    assert answer.code == 10040 and "CancelModelVersion" in answer.details  # it got as far as the missing stub


def test_delete_with_and_without_body(server: Running) -> None:
    assert server.ask("DELETE", f"{APP}/inputs", {"ids": ["a", "b"]}).details == "a,b"
    assert server.ask("DELETE", f"{APP}/inputs").status == 200
    assert server.ask("DELETE", f"{APP}/inputs?ids=x&ids=y").details == "x,y"


@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", "text/xml", "application/x-www-form-urlencoded", ""])
def test_bad_C11_json_whatever_the_content_type(server: Running, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    assert server.ask("POST", f"{APP}/models", b'{"model":{"id":"m"}}', headers).json["model"]["id"] == "m"


@pytest.mark.parametrize("body", ["{}".encode("utf-16"), b"\xef\xbb\xbf{}", b'{"a":"\xff"}'])
def test_bad_C11_C12_wrong_encodings(server: Running, body: bytes) -> None:
    assert server.ask("POST", f"{APP}/models", body).status == 400


def test_bad_C9_declared_too_large(server: Running) -> None:
    head = f"POST {APP}/inputs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key {server.token}\r\n"
    reply = server.raw(f"{head}Content-Length: {128 * 2**20 + 1}\r\n\r\n".encode(), wait=5)
    assert reply.startswith(b"HTTP/1.1 413") and b'"code": 40033' in reply and b"128 MiB" in reply


def test_bad_C9_endless_chunks(server: Running) -> None:
    head = f"POST {APP}/inputs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key {server.token}\r\n"
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sent = 0
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 300:
                connection.sendall(chunk)
                sent += 1
    assert 100 < sent < 200, "closed soon after 128 MiB"


def test_bad_C9_a_large_body_without_token_is_not_read(server: Running) -> None:
    head = f"POST {APP}/inputs HTTP/1.1\r\nHost: localhost\r\nContent-Length: {64 * 2**20}\r\n\r\n"
    assert server.raw(head.encode(), wait=3).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: x\r\n",
    ],
)
def test_bad_C9_contradictory_lengths(server: Running, headers: str) -> None:
    request = f"POST {APP}/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key {server.token}\r\n{headers}\r\n{{}}"
    reply = server.raw(request.encode(), wait=5)
    assert reply.startswith(b"HTTP/1.1 400") and reply.count(b"HTTP/1.1") == 1


def test_gzip_bodies_are_read(server: Running) -> None:
    body = gzip.compress(b'{"model":{"id":"m"}}')
    assert server.ask("POST", f"{APP}/models", body, {"Content-Encoding": "gzip"}).json["model"]["id"] == "m"
    assert server.ask("GET", f"{APP}/models", None, {"Content-Encoding": "gzip"}).status == 200
    for bad in (b"no gzip", body[:-1], body[:20], body + b"x", body + body):
        assert server.ask("POST", f"{APP}/models", bad, {"Content-Encoding": "gzip"}).status == 400
    assert server.ask("POST", f"{APP}/models", b"{}", {"Content-Encoding": "br"}).status == 400


def test_bad_C10_gzip_bomb(server: Running) -> None:
    bomb = gzip.compress(b" " * (200 * 2**20), 9)
    assert len(bomb) < 300_000
    assert server.ask("POST", f"{APP}/inputs", bomb, {"Content-Encoding": "gzip"}).status == 413


def test_bad_C13_in_a_batch(server: Running) -> None:
    answer = server.ask("POST", f"{APP}/inputs", {"inputs": [{"data": {"image": {"base64": "%%%"}}}]})
    assert (answer.status, answer.code) == (400, 30300) and "inputs[0].data.image.base64" in answer.details


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("POST", "/v2/users/u", 405),
        ("TRACE", "/v2/users/u", 405),
        ("PUT", f"{APP}/models", 405),
        ("GET", "//v2//users", 404),
        ("GET", "/v2/users//apps", 404),
        ("GET", "/v3/users", 404),
        ("GET", "/", 404),
        ("GET", f"{APP}/models/a%2fb", 400),
        ("GET", f"{APP}/models/a%5cb", 400),
        ("GET", f"{APP}/models/a%00b", 400),
        ("GET", f"{APP}/models/a%0ab", 400),
        ("GET", f"{APP}/models/%ff", 400),
    ],
)
def test_bad_C19_odd_verbs_and_paths(server: Running, verb: str, path: str, status: int) -> None:
    answer = server.ask(verb, path)
    assert answer.status == status
    assert answer.json["status"]["req_id"]
    if status == 405:
        assert answer.code == 11103 and "GET" in answer.details


def test_bad_C19_connect(server: Running) -> None:
    assert server.raw(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n", 3)[:10] == b"HTTP/1.1 4"


def test_other_verbs_are_named() -> None:
    with pytest.raises(MethodNotAllowed, match="DELETE, GET, PATCH, POST"):
        Routes(METHODS).find("PUT", b"/v2/inputs")


# -- browsers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v2/models", "/v2/anything/at/all", f"{APP}/models/m/versions/time_estimate/"])
def test_preflight_needs_no_key(server: Running, path: str) -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    answer = server.ask(
        "OPTIONS", path, token=None, headers={**asked, "Access-Control-Request-Headers": "authorization"}
    )
    assert answer.status == 204 and answer.body == b""
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "DELETE" in answer.headers["access-control-allow-methods"]


def test_answers_and_errors_can_be_read_by_pages(server: Running) -> None:
    for path, token in ((f"{APP}/models/m", ""), (f"{APP}/models/m", None), ("/nowhere", None)):
        headers = server.ask("GET", path, headers={"Origin": "https://example.org"}, token=token).headers
        assert headers["access-control-allow-origin"] == "*" and headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-credentials" not in headers


# -- errors and logs --------------------------------------------------------------------------------------------------


def logged(caplog: pytest.LogCaptureFixture, req_id: str) -> logging.LogRecord:
    """The call's line, which is written when the answer is out."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        for record in caplog.records:
            if record.name == "luthier.access" and req_id in record.getMessage():
                return record
        time.sleep(0.01)
    raise AssertionError(f"no line with {req_id}")


def test_errors_have_the_wires_shape(server: Running) -> None:
    answer = server.ask("GET", f"{APP}/models/missing")
    assert answer.status == 404
    assert set(answer.json["status"]) == {"code", "description", "details", "req_id"}
    assert server.ask("GET", f"{APP}/models/throttled").headers["retry-after"] == "1"


def test_an_unexpected_failure_tells_nothing(server: Running) -> None:
    answer = server.ask("GET", f"{APP}/models/broken")
    assert (answer.status, answer.code) == (500, 10020)
    assert b"secret" not in answer.body and b"Traceback" not in answer.body


def test_unserved_calls_are_404_and_named(server: Running) -> None:
    answer = server.ask("POST", "/v2/users/me/apps/a/workflows", {"workflows": []})
    assert (answer.status, answer.code) == (404, 10040) and "PostWorkflows" in answer.details


@pytest.mark.parametrize("path", ["/nowhere", f"{APP}/models/missing", f"{APP}/models/broken", "/v2/users/u%2fv"])
def test_every_refusal_is_in_the_log(server: Running, path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    req_id = server.ask("GET", path).json["status"]["req_id"]
    assert logged(caplog, req_id).levelname == "INFO"


def test_the_log_line_tells_who_called_what(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    req_id = server.ask("GET", f"{APP}/models/m").json["status"]["req_id"]
    record = logged(caplog, req_id)
    for part in ("GetModel", "caller=luthier", "from=127.0.0.1", "rest", "status=200", "code=10000"):
        assert part in record.getMessage()
    shape = json.loads(JsonFormatter().format(record))
    assert (shape["rpc"], shape["caller"], shape["status"], shape["req_id"]) == ("GetModel", "luthier", 200, req_id)
    assert server.token not in caplog.text


def test_a_newline_forges_no_line(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    server.ask("GET", "/no%0awhere%0d%0a2026 INFO luthier.access forged".replace(" ", "%20"))
    broken = server.ask("GET", f"{APP}/models/broken")  # its message holds a line that looks like ours
    logged(caplog, broken.json["status"]["req_id"])
    for record in caplog.records:
        text = TextFormatter().format(record)
        assert all(line.startswith("    ") for line in text.splitlines()[1:])
        assert len(JsonFormatter().format(record).splitlines()) == 1


def test_a_request_id_prefix_is_kept(server: Running) -> None:
    answer = server.ask("GET", f"{APP}/models/m", headers={"X-Clarifai-Request-ID-Prefix": "sdk-python-12.5.0"})
    assert answer.json["status"]["req_id"].startswith("sdk-python-12.5.0-")


def test_the_sdk_probe(server: Running) -> None:
    answer = server.ask("GET", "/v2/auth/methods", token=None)
    assert answer.status == 200 and answer.code == 10000


def test_connections_are_kept(server: Running) -> None:
    one = f"GET {APP}/models/m HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key {server.token}\r\n"
    reply = server.raw((one + "\r\n" + one + "Connection: close\r\n\r\n").encode(), wait=5)
    assert reply.count(b"HTTP/1.1 200") == 2
