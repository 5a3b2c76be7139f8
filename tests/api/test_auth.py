"""Group A of the bad inputs: who is let in, and what the others are told. Next: `test_authorization`, the matrix."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import delete

from luthier.api.throttle import MOST_ADDRESSES, WRONG_PER_MINUTE, Throttle, ThrottledWrong
from luthier.store import tables, tokens
from tests.api.conftest import Running, running, settings_for

ME = "/v2/users/me"
MODEL = "/v2/users/me/apps/a/models/m"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """On SQLite a token is looked up again after each commit, on PostgreSQL at every call."""
    folder = tmp_path_factory.mktemp(f"auth-{request.param}")
    if request.param == "sqlite":
        yield from running(settings_for(folder))
        return
    with request.getfixturevalue("postgres").database() as url:
        yield from running(settings_for(folder, LUTHIER_DATABASE_URL=url))


@pytest.fixture(autouse=True)
def _forget_wrong_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.api.throttle.WINDOW_SECONDS", 0.0)


def test_bad_A1_no_authorization(server: Running) -> None:
    answer = server.ask("GET", ME, token=None)
    assert (answer.status, answer.code) == (401, 11008)
    assert "Authorization: Key <token>" in answer.details
    assert server.call("GetUser", metadata=None).status.code == 11008


@pytest.mark.parametrize("value", ["Key ", "Key    ", "Key \t", "Key", ""])
def test_bad_A2_empty_token(server: Running, value: str) -> None:
    answer = server.ask("GET", ME, token=None, headers={"Authorization": value})
    assert (answer.status, answer.code) == (401, 11008)


@pytest.mark.parametrize("scheme", ["Key", "key", "KEY", "Bearer", "bearer"])
def test_bad_A3_accepted_schemes(server: Running, scheme: str) -> None:
    header = {"Authorization": f"{scheme} {server.token}"}
    assert server.ask("GET", ME, token=None, headers=header).status == 200
    assert server.call("GetUser", metadata=[("authorization", header["Authorization"])]).status.code == 10000


@pytest.mark.parametrize("scheme", ["Basic", "Token", "Digest"])
def test_bad_A3_other_schemes(server: Running, scheme: str) -> None:
    answer = server.ask("GET", ME, token=None, headers={"Authorization": f"{scheme} {server.token}"})
    assert (answer.status, answer.code) == (401, 11008)
    assert server.token not in answer.body.decode()


def test_bad_A4_wrong_checksum_needs_no_look_up(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a mistyped token was looked up")

    monkeypatch.setattr(tokens, "resolve", never)
    wrong = server.token[:-1] + ("0" if server.token[-1] != "0" else "1")
    answer = server.ask("GET", ME, token=wrong)
    assert (answer.status, answer.code) == (401, 11008)


def test_bad_A5_unknown_token(server: Running) -> None:
    text, id = server.make_token(["All"])
    with server.database.write() as connection:
        connection.execute(delete(tables.tokens).where(tables.tokens.c.id == id))
    answer = server.ask("GET", ME, token=text)
    assert (answer.status, answer.code) == (401, 11009)


def test_bad_A6_revoked_token_at_once(server: Running) -> None:
    text, id = server.make_token(["All"])
    assert server.ask("GET", ME, token=text).status == 200
    with server.database.write() as connection:
        tokens.revoke(connection, id)
    answer = server.ask("GET", ME, token=text)
    assert (answer.status, answer.code) == (401, 11001)
    assert server.call("GetUser", metadata=[("authorization", f"Key {text}")]).status.code == 11001


def test_bad_A6_expired_token(server: Running) -> None:
    text, _ = server.make_token(["All"], expires_at=time.time() + 0.3)
    assert server.ask("GET", ME, token=text).status == 200
    time.sleep(0.4)
    assert server.ask("GET", ME, token=text).code == 11001


def test_bad_A5_A6_revoked_and_unknown_read_alike(server: Running) -> None:
    """The codes differ, the words tell nothing more."""
    unknown, id = server.make_token(["All"])
    with server.database.write() as connection:
        connection.execute(delete(tables.tokens).where(tables.tokens.c.id == id))
    revoked, id = server.make_token(["All"])
    with server.database.write() as connection:
        tokens.revoke(connection, id)
    assert server.ask("GET", ME, token=unknown).details == server.ask("GET", ME, token=revoked).details


def test_bad_A8_missing_scope_is_named(server: Running) -> None:
    text, _ = server.make_token(["Apps_Get", "Concepts_Get", "Models_Get", "Workflows_Get"])
    assert server.ask("GET", MODEL, token=text).status == 200
    answer = server.ask("DELETE", MODEL, token=text)
    assert (answer.status, answer.code) == (403, 11007)
    assert "Models_Delete" in answer.details and "Models_Get" not in answer.details


def test_bad_A9_app_token_does_not_reach_the_user(server: Running) -> None:
    text, _ = server.make_token(["All"], app=server.make_app("only"))
    assert server.ask("GET", MODEL, token=text).status == 200
    answer = server.ask("GET", ME, token=text)
    assert (answer.status, answer.code) == (403, 11007)
    assert "single app" in answer.details


def test_bad_A10_two_headers(server: Running) -> None:
    head = f"GET {ME} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    twice = f"Authorization: Key {server.token}\r\n" * 2
    assert server.raw((head + twice + "\r\n").encode()).startswith(b"HTTP/1.1 400")
    answer = server.call("GetUser", metadata=[("authorization", f"Key {server.token}")] * 2)
    assert answer.status.code == 11100


def test_bad_A10_large_header(server: Running) -> None:
    head = b"GET /v2/users/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key " + b"x" * 2**20
    assert server.raw(head + b"\r\n\r\n", wait=5).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("junk", [b"Key a\rb", b"Key a\0b", b"Key a\x0bb", b"Key a\r\n b"])
def test_bad_A10_control_characters(server: Running, junk: bytes) -> None:
    request = (
        b"GET /v2/users/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: " + junk + b"\r\n\r\n"
    )
    status = server.raw(request, wait=5)[:12]
    assert status in (b"HTTP/1.1 400", b"HTTP/1.1 401")


@pytest.mark.parametrize("name", ["key", "token", "access_token", "api_key"])
def test_bad_A11_token_in_the_url(server: Running, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for token in (None, ""):
        answer = server.ask("GET", f"{ME}?{name}={server.token}", token=token)
        assert (answer.status, answer.code) == (401, 11008)
    assert "GetUser" in caplog.text and server.token not in caplog.text


def test_bad_A12_many_wrong_tokens(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.api.throttle.WINDOW_SECONDS", 60.0)
    answers = [server.ask("GET", ME, token=f"wrong{number}") for number in range(WRONG_PER_MINUTE + 5)]
    assert {answer.status for answer in answers[-5:]} == {429}
    assert answers[-1].code == 11005 and 0 < int(answers[-1].headers["retry-after"]) <= 61
    assert server.ask("GET", ME).status == 200, "the holder of a good token must not suffer"


def test_bad_A12_the_window_moves_and_addresses_count_apart() -> None:
    now = [0.0]
    throttle = Throttle(clock=lambda: now[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("luthier.api.throttle.WINDOW_SECONDS", 60.0)
        for _ in range(WRONG_PER_MINUTE):
            throttle.count("a")
        with pytest.raises(ThrottledWrong) as refused:
            throttle.count("a")
        assert refused.value.retry_after == 61
        throttle.count("b")
        now[0] = 61.0
        throttle.count("a")


def test_the_throttle_forgets_rather_than_grows() -> None:
    throttle = Throttle()
    for number in range(MOST_ADDRESSES + 10):
        throttle.count(str(number))
    assert len(throttle._times) == MOST_ADDRESSES


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "[::2]"])
def test_bad_A14_foreign_host(server: Running, host: str) -> None:
    answer = server.ask("GET", ME, headers={"Host": host})
    assert answer.status == 421
    assert "LUTHIER_ALLOWED_HOSTS" in answer.details


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:80", "localhost."])
def test_bad_A14_own_hosts(server: Running, host: str) -> None:
    assert server.ask("GET", ME, headers={"Host": host}).status == 200


def test_session_tokens_are_refused_clearly(server: Running) -> None:
    answer = server.ask("GET", ME, token=None, headers={"X-Clarifai-Session-Token": "abc"})
    assert (answer.status, answer.code) == (401, 11008)
    assert "x-clarifai-session-token is not served" in answer.details


def test_no_key_is_needed_where_the_wire_says_so(server: Running) -> None:
    assert server.ask("GET", "/v2/status_codes", token=None).status == 200
