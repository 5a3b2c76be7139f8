"""Fetches one URL: rules, resolve, check every address, connect to the one that was checked, read within limits.

No proxy, cookie, password file or environment variable has a say. Each redirect starts again from the rules.
Next: `conversation` for what is said once connected.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import h11

from luthier.errors import DownloadFailed, InvalidUrl, LuthierError, shown
from luthier.settings import Settings
from luthier.store import urls
from luthier.store.urls import Url
from luthier.worker.fetching import addresses
from luthier.worker.fetching.conversation import Answer, Clock, get

MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
Resolve = Callable[[str, int, float], list[str]]  # host, port, seconds -> addresses
Dial = Callable[[str, int, float], socket.socket]  # address, port, seconds -> connected


@dataclass(frozen=True)
class Limits:
    """Seconds: to resolve and connect; from the question to the first byte; all in all, redirects included."""

    connect: float = 5.0
    first_byte: float = 10.0
    total: float = 60.0


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """A connection to an address in numbers: nothing is resolved here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect((address, port))
    except BaseException:
        connection.close()
        raise
    return connection


class Fetcher:
    """Holds nothing between fetches; may be used by several threads. The last arguments are for tests."""

    def __init__(
        self,
        settings: Settings,
        limits: Limits | None = None,
        resolve: Resolve = addresses.resolve,
        dial: Dial = dial,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = urls.rules(settings)
        self._most_mb = settings.max_input_mb
        self._limits = limits or Limits()
        self._resolve = resolve
        self._dial = dial
        self._trust = trust or ssl.create_default_context()

    def fetch(self, url: Url, check: Callable[[], None] = lambda: None, *, most_mb: int | None = None) -> bytes:
        """The bytes behind a URL, from one to `most_mb` MiB, which is max_input_mb where it is not given.

        `check` is called several times a second and may raise.

        Raises InvalidUrl for what may not be asked, NoAddress, DownloadTooLarge, DownloadFailed for anything else.
        """
        clock = Clock(time.monotonic() + self._limits.total, check)
        most_bytes = (most_mb or self._most_mb) * 1024 * 1024
        before: Url | None = None
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._checked_and_asked(url, before, clock, most_bytes)
            if answer.status not in REDIRECTS:
                return _content(url, answer)
            before, url = url, _next(url, answer)
        raise DownloadFailed(f"more than {MOST_REDIRECTS} redirects")

    def _checked_and_asked(self, url: Url, before: Url | None, clock: Clock, most_bytes: int) -> Answer:
        """A redirect to what may not be asked is the fault of the server that sent it."""
        try:
            self._rules.check(url, redirected_from=before)
            return self._ask(url, clock, most_bytes)
        except InvalidUrl as error:
            if before is None:
                raise
            raise DownloadFailed(f"{before.authority} redirects: {error.details}") from error

    def _ask(self, url: Url, clock: Clock, most_bytes: int) -> Answer:
        try:
            with contextlib.closing(self._connect(url, clock)) as connection:
                return get(connection, url, clock, self._limits.first_byte, most_bytes)
        except LuthierError:
            raise
        except ssl.SSLCertVerificationError as error:
            raise DownloadFailed(f"{url.authority} has no valid certificate: {error.verify_message}") from error
        except h11.RemoteProtocolError as error:
            raise DownloadFailed(f"the answer of {url.authority} is no whole HTTP: {shown(str(error))}") from error
        except OSError as error:
            raise DownloadFailed(f"{url.authority}: {shown(error.strerror or str(error))}") from error

    def _connect(self, url: Url, clock: Clock) -> socket.socket:
        until = min(time.monotonic() + self._limits.connect, clock.end)
        plain = self._first_that_answers(url, self._checked_addresses(url, until), until)
        if url.scheme == "http":
            return plain
        try:
            plain.settimeout(max(0.01, until - time.monotonic()))
            return self._trust.wrap_socket(plain, server_hostname=url.host)
        except BaseException:
            plain.close()
            raise

    def _checked_addresses(self, url: Url, until: float) -> list[str]:
        """One private address among them spoils all: which is taken would be up to who runs the name."""
        literal = addresses.in_numbers(url.host)
        found = [literal] if literal else self._resolve(url.host, url.port, until - time.monotonic())
        if not self._rules.allowed(url):
            for address in found:
                if why := addresses.why_not_public(address):
                    raise InvalidUrl(f"host {shown(url.host)!r} is {why}; only the public internet is fetched from")
        return found

    def _first_that_answers(self, url: Url, found: Sequence[str], until: float) -> socket.socket:
        trouble = "it has no address"
        for address in found:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return self._dial(address, url.port, left)
            except TimeoutError:
                trouble = f"no connection within {self._limits.connect:.0f} s"
            except OSError as error:
                trouble = error.strerror or str(error)
        raise DownloadFailed(f"{url.authority}: {trouble}")


def _next(url: Url, answer: Answer) -> Url:
    if not answer.location:
        raise DownloadFailed(f"{url.authority} answered {answer.status} without saying where to")
    try:
        return urls.follow(url, answer.location)
    except InvalidUrl as error:
        raise DownloadFailed(f"{url.authority} redirects: {error.details}") from error


def _content(url: Url, answer: Answer) -> bytes:
    if answer.status != 200:
        raise DownloadFailed(f"{url.authority} answered {answer.status}; only 200 brings the content")
    if not answer.body:
        raise DownloadFailed(f"{url.authority} answered with an empty body")
    return answer.body
