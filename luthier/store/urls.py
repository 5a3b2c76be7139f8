"""A URL that is to be fetched: parsed once, for those who accept it and those who connect; masked for those who read.

Next: `fetches` for the rows, `worker/fetching` for the fetcher.
"""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from luthier.errors import InvalidSettings, InvalidUrl, shown
from luthier.settings import Settings

LONGEST = 8192  # characters
MASK = "***"
_PORTS = {"http": 80, "https": 443}
_INSIDE = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
)  # names that mean this network, with what ends so
_PARTS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#.*)?"
)
_NOT_IN_A_URL = re.compile(r'[\x00-\x20\x7f-\xa0\\<>"^`{|}\u2028\u2029]')
_HOST = re.compile(r"(?!-)[a-z0-9_.-]{1,253}")
_KEPT = "!#$%&'()*+,/:;=?@[]~"


@dataclass(frozen=True)
class Url:
    """`host` in lower-case ASCII, an IPv6 address without brackets; `target` is path and query as they are sent."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def masked(self) -> str:
        """Without the values of its query, where signatures and tokens stand."""
        path, mark, query = self.target.partition("?")
        hidden = "&".join(f"{part.split('=')[0]}={MASK}" if "=" in part else MASK for part in query.split("&"))
        return f"{self.scheme}://{self.authority}{path}{mark}{hidden if query else ''}"

    @property
    def hash(self) -> str:
        """SHA-256: by it the same URL is known again after its text was dropped."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def parse(text: str) -> Url:
    """Strict; raises InvalidUrl. No user-info, no control characters, spaces or backslashes, http and https only."""
    if len(text) > LONGEST:
        raise InvalidUrl(f"the URL has {len(text)} characters; at most {LONGEST}")
    if bad := _NOT_IN_A_URL.search(text):
        raise InvalidUrl(f"the URL holds {shown(bad.group())!r} at character {bad.start() + 1}; percent-encode it")
    scheme, colon, _ = text.partition(":")
    if not colon or scheme.lower() not in _PORTS:
        raise InvalidUrl(f"the URL begins with {shown(text.split('?')[0], 20)!r}; http or https only")
    found = _PARTS.fullmatch(text)
    if found is None:
        raise InvalidUrl("the URL is not of the form https://host:port/path; it may hold no user name and password")
    scheme = scheme.lower()
    port = int(found["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise InvalidUrl(f"port {port} is none; give 1 to 65535")
    path, query = found["path"] or "/", found["query"]
    target = quote(path + (f"?{query}" if query is not None else ""), safe=_KEPT)
    url = Url(scheme, _host(found["host"]), port, target)
    if len(url.text) > LONGEST:
        raise InvalidUrl(f"the URL has {len(url.text)} characters when percent-encoded; at most {LONGEST}")
    return url


def follow(url: Url, location: str) -> Url:
    """Where a redirect leads; raises InvalidUrl, as `parse` does."""
    if _NOT_IN_A_URL.search(location):
        raise InvalidUrl("the redirect's address holds characters that no URL may hold")
    try:
        joined = urljoin(url.text, location)
    except ValueError as error:
        raise InvalidUrl("the redirect's address is no URL") from error
    return parse(joined)


def _host(text: str) -> str:
    if text.startswith("["):
        return text[1:-1].lower()
    try:
        ascii_text = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError as error:
        raise InvalidUrl(f"host {shown(text)!r} is no host name") from error
    host = ascii_text.lower().removesuffix(".")
    if not _HOST.fullmatch(host) or ".." in host:
        raise InvalidUrl(f"host {shown(text)!r} is no host name")
    return host


# -- what this server fetches from -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """The settings on fetching. What `allow` lists is reached whatever its address and port are."""

    enabled: bool
    offline: bool
    allow: frozenset[tuple[str, int]]
    ports: frozenset[int]

    def allowed(self, url: Url) -> bool:
        return (url.host, url.port) in self.allow

    def check(self, url: Url, *, redirected_from: Url | None = None) -> None:
        """Raises InvalidUrl for what may not be asked at all, whatever addresses its name has."""
        if not self.enabled:
            raise InvalidUrl("this server fetches no URLs (setting fetch_urls); send the content itself")
        if redirected_from:
            self._check_redirect(url, redirected_from)
        if self.allowed(url):
            return
        if self.offline:
            raise InvalidUrl(f"this server is set to work offline: it fetches from {self._listed()} alone")
        if url.port not in self.ports:
            some = ", ".join(map(str, sorted(self.ports)))
            raise InvalidUrl(f"port {url.port} is not fetched from; allowed are {some} (setting fetch_ports)")
        if any(url.host == name or url.host.endswith("." + name) for name in _INSIDE):
            raise InvalidUrl(f"host {shown(url.host)!r} is not in the public internet")

    def _check_redirect(self, url: Url, before: Url) -> None:
        """The list is a promise about one host: nobody is led off it, and nobody is led to it from outside."""
        if (before.scheme, url.scheme) == ("https", "http"):
            raise InvalidUrl("from https to http, which is not followed")
        same = (url.host, url.port) == (before.host, before.port)
        if not same and (self.allowed(url) or self.allowed(before)):
            raise InvalidUrl(f"to {shown(url.authority)}, which is not followed since one of both is in fetch_allow")

    def _listed(self) -> str:
        return ", ".join(f"{host}:{port}" for host, port in sorted(self.allow)) or "nowhere (setting fetch_allow)"


def rules(settings: Settings) -> Rules:
    """Raises InvalidSettings for a list that cannot be read."""
    allow = frozenset(_host_and_port(entry) for entry in _entries(settings.fetch_allow))
    ports = frozenset(_port(entry, "fetch_ports") for entry in _entries(settings.fetch_ports))
    return Rules(settings.fetch_urls, settings.offline, allow, ports)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _host_and_port(entry: str) -> tuple[str, int]:
    host, _, port = entry.rpartition(":")
    if not host:
        raise InvalidSettings(f"fetch_allow holds {shown(entry)!r}; give host:port, such as minio.example.org:9000")
    return host.lower().strip("[]"), _port(port, "fetch_allow")


def _port(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InvalidSettings(f"{name} holds port {shown(text)!r}; give a number from 1 to 65535")
    return int(text)
