"""P26 with real packets: in a network of its own, private addresses answer on port 80 and must never be reached.

`make canaries` (Linux, where users may make namespaces). The lists of targets are those of `test_fetching`.
"""

import subprocess
import sys
import threading
import time

from luthier.errors import LuthierError
from luthier.settings import Settings
from luthier.store import urls
from luthier.worker.fetching import addresses
from luthier.worker.fetching.fetcher import Fetcher, Limits
from tests.worker.test_fetching import G1, G2, G4, G4_V4, G8, PUBLIC
from tests.worker.web import Server, answer, redirect

CANARIES = ("127.0.0.1", "::1", "169.254.169.254", "10.0.0.1")
REBINDING = "rebinding.example"  # public when it is looked up, private the next time


def main() -> int:
    _network()
    canaries = [Server(answer(b"canary"), address, port=80) for address in CANARIES]
    where = {"to": ""}
    site = Server(lambda connection, question: redirect(where["to"])(connection, question), PUBLIC, port=80)
    fetcher = Fetcher(Settings(), Limits(connect=1.0, first_byte=1.0, total=3.0), _Names().resolve)
    hosts = [*G2, *(f"[{address}]" if ":" in address else address for address in (*CANARIES, *G4, *G4_V4))]
    targets = [*(f"http://{host}/" for host in hosts), *G1, *G8, *[f"http://{REBINDING}/"] * 6]
    fetched = 0
    for target in targets:
        where["to"] = target.translate({0: None, 10: None, 13: None}) or "file:///"
        fetched += sum(_fetched(fetcher, url) for url in (target, "http://site.example/"))
    time.sleep(0.3)
    reached = {address: canary.connections for address, canary in zip(CANARIES, canaries, strict=True)}
    print(f"{len(targets)} targets, each by itself and behind a redirect: {fetched} fetched")
    print(f"connections: {site.connections} to the site that redirects; to canaries {reached}")
    return int(bool(fetched or any(reached.values()) or not site.connections))


class _Names:
    """One name for the site, one that changes its address with every look-up; the system's for the rest."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._looked = 0

    def resolve(self, host: str, port: int, seconds: float) -> list[str]:
        if host == "site.example":
            return [PUBLIC]
        if host == REBINDING:
            with self._turn:
                self._looked += 1
                return [PUBLIC if self._looked % 2 else "169.254.169.254"]
        return addresses.resolve(host, port, seconds)


def _fetched(fetcher: Fetcher, url: str) -> bool:
    try:
        fetcher.fetch(urls.parse(url))
    except LuthierError:
        return False
    print(f"fetched: {url}")
    return True


def _network() -> None:
    """Loopback with the addresses of the canaries and of the site. Raises where this is not a network of our own."""
    for command in ["link set lo up", *(f"addr add {address}/32 dev lo" for address in (*CANARIES[2:], PUBLIC))]:
        subprocess.run(["ip", *command.split()], check=True)


if __name__ == "__main__":
    sys.exit(main())
