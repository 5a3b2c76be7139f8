"""Servers on loopback for the tests of fetching: one that plays what it is told, and canaries that must stay alone."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Play = Callable[[socket.socket, str], None]  # connection, the request's text


class Server:
    """Counts the connections that reach it, keeps what was asked, and answers by `play`."""

    def __init__(
        self, play: Play, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.asked: list[str] = []
        self.connections = 0
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._play, self._tls = play, tls
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.bind((address, port))
        self._listener.listen(64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def allow(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/a.png") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self.connections += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            connection.settimeout(10)
            with contextlib.suppress(OSError):
                self._talk(self._tls.wrap_socket(connection, server_side=True) if self._tls else connection)
        finally:
            with self._lock:
                self._now -= 1
            connection.close()

    def _talk(self, connection: socket.socket) -> None:
        question = b""
        while b"\r\n\r\n" not in question and (some := connection.recv(4096)):
            question += some
        with connection:
            self.asked.append(question.decode("latin-1"))
            self._play(connection, self.asked[-1])


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> Play:
    """A server that always says this. In header names `_` stands for `-`; a Content-Length is added."""
    sent = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    return lambda connection, _: connection.sendall(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)


def redirect(to: str) -> Play:
    return answer(status="302 Found", Location=to)


def by_path(**plays: Play) -> Play:
    """`by_path(a=…)` plays it for /a, /a.png, /a?x."""

    def play(connection: socket.socket, question: str) -> None:
        name = question.split(" ")[1].lstrip("/").split("?")[0].split(".")[0]
        plays[name](connection, question)

    return play


def dribble(piece: bytes, every: float, head: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Play:
    """Sends a piece again and again, until the other side has had enough."""

    def play(connection: socket.socket, _: str) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(piece)
            time.sleep(every)

    return play


def silent(connection: socket.socket, _: str) -> None:
    time.sleep(5)


@contextlib.contextmanager
def serving(play: Play, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(play, address, tls)
    try:
        yield server
    finally:
        server.close()


def certificate(folder: Path, name: str, *, days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """A self-signed certificate for a name or an address: the server's context, and the file to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        other: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        other = x509.DNSName(name)
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - datetime.timedelta(days=30)).not_valid_after(end)
    builder = builder.add_extension(x509.SubjectAlternativeName([other]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(key, hashes.SHA256())
    pem, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key_file.write_bytes(key.private_bytes(*plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key_file)
    return context, pem
