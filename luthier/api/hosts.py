"""Which Host headers are answered: a foreign page must not reach a loopback server under a name of its own.

Next: `rest`.
"""

from urllib.parse import urlsplit

from luthier.errors import Misdirected, shown
from luthier.settings import Settings

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_EVERY_INTERFACE = {"", "0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to


def split_address(address: str) -> tuple[str, str]:
    """("::1", "8080") of "[::1]:8080"; the port is "" where there is none."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        return host.lower(), rest.removeprefix(":")
    host, _, port = address.partition(":")
    return host.lower(), port


class Hosts:
    def __init__(self, settings: Settings) -> None:
        bound = {split_address(settings.http_address)[0]} - _EVERY_INTERFACE
        public = {urlsplit(settings.public_url).hostname or ""} - {""}
        further = {name.strip().lower() for name in settings.allowed_hosts.split(",")} - {""}
        self._allowed = LOOPBACK | bound | public | further

    def check(self, host: str | None, local_address: str) -> None:
        """Raises Misdirected. The address that the connection reached is a fine name: no page can make it up."""
        name = split_address(host or "")[0].removesuffix(".")
        if name not in self._allowed and name != local_address:
            raise Misdirected(f"Host is {shown(host or '')!r}; LUTHIER_ALLOWED_HOSTS adds names")
