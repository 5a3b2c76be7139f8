"""A TCP proxy that now and then resets the client's connection in the moment in which the server answers a call."""

import contextlib
import select
import socket
import struct
import threading
from collections.abc import Callable

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset
HTTP2_HEAD = 9  # bytes: length (3), type, flags, stream (4)
HTTP2_HEADERS = 1
CHUNK = 65536


class Proxy:
    """Forwards to `upstream` from `address`. Of every ten answers `lost` never arrive, though the server gave them.

    What begins an answer is told by `finder`, which is asked with each piece that the server sends.
    """

    def __init__(self, upstream: tuple[str, int], lost: int, finder: "Callable[[], Finder]") -> None:
        self._upstream, self._lost, self._finder = upstream, lost, finder
        self._lock = threading.Lock()
        self.answers = self.resets = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.address: tuple[str, int] = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        """One connection, in one thread: a reset leaves at once only if nobody else reads from the socket."""
        finder = self._finder()
        with contextlib.suppress(OSError), client, socket.create_connection(self._upstream) as server:
            while True:
                readable = select.select([client, server], [], [])[0]
                if client in readable:
                    if not (piece := client.recv(CHUNK)):
                        return
                    server.sendall(piece)
                if server in readable:
                    if not (piece := server.recv(CHUNK)):
                        return
                    if sum(self._loses_it() for _ in range(finder(piece))):
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                        return
                    client.sendall(piece)

    def _loses_it(self) -> bool:
        """The first, and then evenly."""
        with self._lock:
            lost = self.answers * self._lost % 10 < self._lost
            self.answers += 1
            self.resets += lost
            return lost


Finder = Callable[[bytes], int]  # how many answers begin in a piece


def http1() -> Finder:
    return lambda piece: int(piece.startswith(b"HTTP/1.1 "))


def http2() -> Finder:
    """Counts the first HEADERS frame of each stream, wherever the pieces are cut."""
    buffer, streams = bytearray(), set[int]()

    def find(piece: bytes) -> int:
        buffer.extend(piece)
        before = len(streams)
        while len(buffer) >= HTTP2_HEAD:
            length = int.from_bytes(buffer[:3])
            if len(buffer) < HTTP2_HEAD + length:
                break
            if buffer[3] == HTTP2_HEADERS:
                streams.add(int.from_bytes(buffer[5:9]))
            del buffer[: HTTP2_HEAD + length]
        return len(streams) - before

    return find
