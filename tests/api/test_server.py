"""The process: clocks on slow clients, draining, health, the log's URL, certificates, memory."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from sqlalchemy import insert

from luthier.api import tls
from luthier.api.files import clean
from luthier.api.server import bind
from luthier.errors import CorruptFile, InvalidSettings
from luthier.store import logs, tokens, versions
from luthier.store.database import Database, now
from luthier.store.migrations import migrate
from luthier.store.secrets import check_log_signature, signed_log_url
from luthier.store.tables import models
from tests.api.conftest import Running, receive_all, running, settings_for

APP = "/v2/users/u/apps/a"

# -- slow clients ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.api.connection.HEADER_SECONDS", 1.0)
    monkeypatch.setattr("luthier.api.connection.GRACE_SECONDS", 2.0)
    monkeypatch.setattr("luthier.api.connection.WINDOW_SECONDS", 1.0)


def test_slow_headers_are_closed(server: Running, hasty: None) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.sendall(b"GET /v2/users/me HTTP/1.1\r\nHost: local")
        reply = receive_all(connection)
    assert reply.startswith(b"HTTP/1.1 408") and time.monotonic() - started < 5


def test_a_silent_connection_is_closed(server: Running, hasty: None) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        assert receive_all(connection).startswith(b"HTTP/1.1 408")


def test_bad_C9_slow_bodies_are_closed(server: Running, hasty: None) -> None:
    """A wrong Content-Length is the same thing: the rest never comes."""
    started = time.monotonic()
    head = f"POST {APP}/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Key {server.token}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        reply = receive_all(connection)
    assert reply.startswith(b"HTTP/1.1 408") and reply.count(b"HTTP/1.1") == 1
    assert time.monotonic() - started < 6


def test_a_body_that_keeps_coming_is_read(server: Running, hasty: None) -> None:
    head = (
        f"POST {APP}/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Key {server.token}\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.sendall(f"{head}Content-Length: 12002\r\n\r\n".encode())
        for _ in range(6):
            connection.sendall(b" " * 2000)
            time.sleep(0.6)
        connection.sendall(b"{}")
        reply = receive_all(connection)
    assert b'"code":10000' in reply


def test_clients_that_do_not_read_are_cut_off(server: Running, hasty: None) -> None:
    app = server.make_app("long")
    with server.database.write() as connection:
        row = {"app": app, "id": "m", "model_type": "visual-classifier", "message": b""}
        added = connection.execute(insert(models).values(**row, created_at=now(), modified_at=now()))
        seq = versions.create(connection, int(added.inserted_primary_key[0]), "e" * 32, b"")
        logs.append(connection, seq, "x" * 30_000_000)
    path = signed_log_url(server.settings, "e" * 32).removeprefix(f"http://{server.settings.http_address}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(5)  # reads nothing
        reply = receive_all(connection)
    assert reply.startswith(b"HTTP/1.1 200") and len(reply) < 30_000_000
    assert len(server.ask("GET", path, token=None).body) == 30_000_000


def test_the_honest_are_served_beside_slow_ones(server: Running) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHo")
    assert all(server.ask("GET", f"{APP}/models/m").status == 200 for _ in range(20))
    for connection in slow:
        connection.close()


def test_calls_pass_slow_ones_of_another_kind(server: Running) -> None:
    threads = [threading.Thread(target=server.ask, args=("GET", f"{APP}/models?name=slow")) for _ in range(2)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    assert server.ask("POST", f"{APP}/models", {"model": {"id": "m"}}).status == 200
    assert server.ask("GET", f"{APP}/models/m").status == 200
    assert time.monotonic() - started < 0.9
    for thread in threads:
        thread.join()


# -- the log's URL -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def version(server: Running) -> str:
    app = server.make_app("logged")
    with server.database.write() as connection:
        row = {"app": app, "id": "m", "model_type": "visual-classifier", "message": b""}
        added = connection.execute(insert(models).values(**row, created_at=now(), modified_at=now()))
        seq = versions.create(connection, int(added.inserted_primary_key[0]), "v" * 32, b"")
        logs.append(connection, seq, "first line\n")
        logs.append(connection, seq, "\x1b[31mred\x07 <script>\u202egnp\n\ttab\r\nend\n")
    return "v" * 32


def test_the_log_needs_no_header_and_is_plain_text(server: Running, version: str) -> None:
    url = signed_log_url(server.settings, version)
    base = f"http://{server.settings.http_address}"
    assert url.startswith(f"{base}/luthier/v1/logs/{version}?sig=")
    answer = server.ask("GET", url.removeprefix(base), token=None)
    assert answer.status == 200
    assert answer.body.decode() == "first line\n\\x1b[31mred\\x07 <script>\\u202egnp\n\ttab\nend\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert version in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    "change", [lambda u: u[:-1] + "x", lambda u: u.partition("?")[0], lambda u: u + "ä".encode().hex()]
)
def test_a_wrong_signature_looks_like_no_log(server: Running, version: str, change: Any) -> None:
    path = signed_log_url(server.settings, version).removeprefix(f"http://{server.settings.http_address}")
    answer = server.ask("GET", change(path), token=None)
    assert (answer.status, answer.code) == (404, 11101)
    other = signed_log_url(server.settings, "w" * 32).removeprefix(f"http://{server.settings.http_address}")
    missing = server.ask("GET", other, token=None)
    assert (missing.status, missing.details) == (404, answer.details)
    assert server.ask("GET", path.replace(version, "w" * 32), token=None).status == 404
    assert server.ask("GET", "/luthier/v1/logs/..%2f..%2fetc?sig=1", token=None).status == 404


def test_the_public_url_prefixes_what_is_handed_out(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, LUTHIER_PUBLIC_URL="https://train.example.org/x/")
    url = signed_log_url(settings, "abc")
    assert url.startswith("https://train.example.org/x/luthier/v1/logs/abc?sig=")
    assert check_log_signature(settings, "abc", url.partition("sig=")[2])
    assert not check_log_signature(settings, "abd", url.partition("sig=")[2])
    assert (tmp_path / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(CorruptFile, match=r"secret\.key has 5 bytes"):
        signed_log_url(settings_for(tmp_path), "abc")


def test_ordinary_text_is_left_alone() -> None:
    assert clean("épocas 3/60 ✓ 日本\n\t100%\n") == "épocas 3/60 ✓ 日本\n\t100%\n"


# -- certificates ------------------------------------------------------------------------------------------------------


def leaf(certificate: tls.Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.chain)


def test_our_certificate_names_this_machine_and_is_kept(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, LUTHIER_PUBLIC_URL="https://train.example.org")
    made = tls.certificate(settings)
    names = leaf(made).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", "train.example.org", socket.gethostname().lower()} <= set(
        names.get_values_for_type(x509.DNSName)
    )
    assert {"127.0.0.1", "::1"} <= {str(a) for a in names.get_values_for_type(x509.IPAddress)}
    assert tls.certificate(settings) == made, "clients' trust must not change at each start"
    assert [(tmp_path / "tls" / n).stat().st_mode & 0o777 for n in ("ca.key", "server.key", "ca.pem")] == [
        0o600,
        0o600,
        0o644,
    ]


def test_our_certificate_is_renewed_near_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for(tmp_path)
    first, authority = tls.certificate(settings), (tmp_path / "tls" / "ca.pem").read_bytes()
    monkeypatch.setattr(tls, "RENEW_DAYS", tls.CERTIFICATE_DAYS + 1)
    second = tls.certificate(settings)
    assert second != first and (tmp_path / "tls" / "ca.pem").read_bytes() == authority
    other = tls.certificate(settings_for(tmp_path, LUTHIER_ALLOWED_HOSTS="more.example.org"))
    assert leaf(other) != leaf(second)
    assert leaf(second).not_valid_after_utc - leaf(second).not_valid_before_utc <= timedelta(days=399)


def test_a_given_certificate_is_used(tmp_path: Path) -> None:
    given = tls.certificate(settings_for(tmp_path / "one"))
    (tmp_path / "cert.pem").write_bytes(given.chain)
    (tmp_path / "key.pem").write_bytes(given.private_key)
    files = {
        "LUTHIER_TLS_CERTIFICATE": str(tmp_path / "cert.pem"),
        "LUTHIER_TLS_PRIVATE_KEY": str(tmp_path / "key.pem"),
    }
    assert tls.certificate(settings_for(tmp_path / "two", **files)) == given
    assert not (tmp_path / "two" / "tls").exists()
    with pytest.raises(InvalidSettings, match="belong together"):
        tls.certificate(settings_for(tmp_path / "two", LUTHIER_TLS_CERTIFICATE=str(tmp_path / "cert.pem")))
    with pytest.raises(InvalidSettings, match="cannot be read"):
        tls.certificate(
            settings_for(tmp_path / "two", **{**files, "LUTHIER_TLS_PRIVATE_KEY": str(tmp_path / "no.pem")})
        )
    other = tls.certificate(settings_for(tmp_path / "three"))
    (tmp_path / "key.pem").write_bytes(other.private_key)
    with pytest.raises(InvalidSettings, match="does not belong"):
        tls.certificate(settings_for(tmp_path / "two", **files))


# -- the process -------------------------------------------------------------------------------------------------------

PROGRAM = """
import sys
from luthier.api.server import run
from luthier.settings import load
run(load(), lambda: print("ready", flush=True))
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Running]]:
    """The API in a process of its own, as `luthier serve` has it, with the real functions."""
    settings = settings_for(tmp_path)
    database = Database.at(settings.database_file)
    migrate(database)
    with database.write() as connection:
        _, token = tokens.first_user(connection) or ("", "")
    names = ("http_address", "grpc_address", "grpc_tls_address", "data_dir")
    environment = {f"LUTHIER_{name.upper()}": str(getattr(settings, name)) for name in names}
    with (tmp_path / "stderr").open("w") as stderr:
        started = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert started.stdout and started.stdout.readline() == "ready\n", (tmp_path / "stderr").read_text()
    yield started, Running(settings, database, token, 1)
    started.kill()
    started.wait(10)
    started.stdout.close()
    database.close()


def test_small_and_without_torch(process: tuple[subprocess.Popen[str], Running]) -> None:
    started, server = process
    for _ in range(50):
        assert server.ask("GET", "/v2/users/me").status == 200
    status = Path(f"/proc/{started.pid}/status").read_text()
    assert int(status.split("VmRSS:")[1].split()[0]) < 250 * 1024
    assert "libtorch" not in Path(f"/proc/{started.pid}/maps").read_text()


def test_sigterm_drains(process: tuple[subprocess.Popen[str], Running], tmp_path: Path) -> None:
    """Calls under way get whole answers, the process ends by itself."""
    started, server = process
    answers: list[int] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            try:
                answers.append(server.ask("GET", "/v2/users/me").status)
            except (ConnectionError, OSError):
                return  # refused: nothing listens any more

    threads = [threading.Thread(target=keep_asking) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    started.send_signal(signal.SIGTERM)
    assert started.wait(20) == 0
    stop.set()
    for thread in threads:
        thread.join()
    assert len(answers) > 20 and set(answers) == {200}
    assert "draining" in (tmp_path / "stderr").read_text()
    assert server.token not in (tmp_path / "stderr").read_text()


def test_a_taken_address_is_named() -> None:
    with bind("LUTHIER_HTTP_ADDRESS", "127.0.0.1:0") as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSettings, match=f"LUTHIER_HTTP_ADDRESS is 127.0.0.1:{port}"):
            bind("LUTHIER_HTTP_ADDRESS", f"127.0.0.1:{port}")
    for bad in ("nowhere", "127.0.0.1:x", "127.0.0.1:99999"):
        with pytest.raises(InvalidSettings, match="LUTHIER_HTTP_ADDRESS"):
            bind("LUTHIER_HTTP_ADDRESS", bad)


def test_a_taken_grpc_address_is_named(tmp_path: Path) -> None:
    with bind("LUTHIER_HTTP_ADDRESS", "127.0.0.1:0") as taken:
        taken.listen()
        settings = settings_for(tmp_path, LUTHIER_GRPC_ADDRESS=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(InvalidSettings, match="LUTHIER_GRPC_ADDRESS"):
            next(running(settings))


def test_bad_A14_hosts_of_the_settings(tmp_path: Path) -> None:
    """Names that the settings add are answered, others are not."""
    settings = settings_for(
        tmp_path, LUTHIER_ALLOWED_HOSTS="train.example.org, other", LUTHIER_PUBLIC_URL="https://pub.example"
    )
    for server in running(settings):
        for host, status in (("train.example.org", 200), ("OTHER:8", 200), ("pub.example", 200), ("no.example", 421)):
            assert server.ask("GET", "/livez", headers={"Host": host}).status == status
