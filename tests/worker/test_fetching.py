"""Group G of the bad inputs, with real connections: what may not be reached sees none."""

import gzip
import itertools
import socket
import ssl
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.errors import DownloadFailed, DownloadTooLarge, InvalidSettings, InvalidUrl, LuthierError, NoAddress
from luthier.settings import Settings
from luthier.store import urls
from luthier.worker.fetching import addresses
from luthier.worker.fetching.addresses import why_not_public
from luthier.worker.fetching.fetcher import Dial, Fetcher, Limits, Resolve, dial
from tests.worker.web import Play, Server, answer, by_path, certificate, dribble, redirect, serving, silent

BODY = b"some bytes"
PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"
QUICK = Limits(connect=1.0, first_byte=0.4, total=1.2)


@pytest.fixture
def canary() -> Iterator[Server]:
    with serving(answer(b"canary")) as server:
        yield server
        time.sleep(0.02)
        assert server.connections == 0


@pytest.fixture
def canary_6() -> Iterator[Server]:
    with serving(answer(b"canary"), "::1") as server:
        yield server
        time.sleep(0.02)
        assert server.connections == 0


def names(**known: list[str]) -> Resolve:
    """A resolver that knows these names, `_` standing for a dot, and sends others to the system's."""
    table = {name.replace("_", "."): found for name, found in known.items()}

    def resolve(host: str, port: int, seconds: float) -> list[str]:
        if host not in table:
            raise NoAddress(f"{host} has no address")
        return table[host]

    return resolve


def fetch(url: str, **settings: object) -> bytes:
    return Fetcher(Settings(**settings), QUICK).fetch(urls.parse(url))  # type: ignore[arg-type]


def fetch_from(play: Play, path: str = "/a.png", **settings: object) -> bytes:
    with serving(play) as server:
        return fetch(server.url(path), fetch_allow=server.allow, **settings)


def refused(url: str, ports: object = "80,443", **settings: object) -> LuthierError:
    with pytest.raises(LuthierError) as caught:
        fetch(url, fetch_ports=str(ports), **settings)
    return caught.value


def test_content_is_fetched_from_an_allowed_host() -> None:
    with serving(answer(BODY)) as server:
        assert fetch(server.url("/b%20c.png?x=1#y"), fetch_allow=server.allow) == BODY
    lines = server.asked[0].split("\r\n")
    assert lines[0] == "GET /b%20c.png?x=1 HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}" in lines


# -- G1, G8, G9: what the parser alone refuses -------------------------------------------------------------------------

G1 = ["file:///etc/passwd", "FILE:///etc/passwd", "gopher://h/", "ftp://h/a", "dict://h/", "data:image/png;base64,AA=="]
G1 += ["jar:http://h/a!/b", "s3://bucket/key", "//h/a", "h/a.png", "", "http:/h/a", "http:h", "javascript:x", "unix:/s"]


@pytest.mark.parametrize("url", G1)
def test_bad_G1_http_or_https_only(url: str) -> None:
    assert refused(url).code == 30106


G8 = ["http://user:pw@host/", "http://user@host/", "http://a\\@127.0.0.1/", "http://ho st/", "http://ho\nst/"]
G8 += [
    "http://host/\r\nX: y",
    "http://host/a b",
    "http://[::1/",
    "http://::1/",
    "http://[::1]x/",
    "http://[fe80::1%25eth0]/",
]
G8 += [
    "http://host:/",
    "http://:80/",
    "http://h\u2028/",
    "http://\ufe00/",
    "http://a..b/",
    "http://-a/",
    "http://ho\0st/",
]
G8 += ["http://host%00/", "http://\u2100.example/", "http://" + "a" * 9000]
G8 += ["http://host/" + "\u00e4" * 5000]  # longer than a URL may be once it is percent-encoded


@pytest.mark.parametrize("url", G8)
def test_bad_G8_one_strict_parser(url: str) -> None:
    assert refused(url).code == 30106


def test_bad_G8_what_follows_the_fragment_is_no_host(canary: Server) -> None:
    error = refused(f"http://127.0.0.1:{canary.port}#@a.example", canary.port)
    assert (error.code, "this machine" in error.details) == (30106, True)


@pytest.mark.parametrize("port", [0, 22, 25, 6379, 5432, 8080, 65536, 99999])
def test_bad_G9_ports(port: int) -> None:
    assert "port" in refused(f"http://public.example:{port}/").details


def test_bad_G9_the_admin_lists_further_ports(canary: Server) -> None:
    assert "this machine" in refused(f"http://127.0.0.1:{canary.port}/", f"80, {canary.port}").details
    with pytest.raises(InvalidSettings, match="fetch_ports"):
        fetch("http://a.example/", fetch_ports="80,http")


# -- G2 to G6: addresses -----------------------------------------------------------------------------------------------

G2 = [
    "127.0.0.1",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "127.1",
    "0177.0.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
]
G2 += ["①②⑦.⓪.⓪.①", "127。0。0。1", "0", "0.0.0.0", "127.255.255.254"]  # noqa: S104


@pytest.mark.parametrize("host", G2)
def test_bad_G2_this_machine_by_any_spelling(host: str, canary: Server) -> None:
    assert refused(f"http://{host}:{canary.port}/", canary.port).code == 30106


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fd00:ec2::254]", "metadata.google.internal", "168.63.129.16", "100.100.100.200"]
)
def test_bad_G3_metadata_services(host: str) -> None:
    assert refused(f"http://{host}/latest/meta-data/").code == 30106


G4 = [
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "fe80::1",
]
G4 += ["2001:0:53aa:64c:0:5efe:7f00:1", "2001::1", "fc00::1", "ff02::1", "ff0e::1", "2001:db8::1", "3fff::1", "5f00::1"]
G4 += ["::ffff:10.0.0.1", "64:ff9b::a00:1", "100::1", "2606:2800::5efe:a00:1", "2606:2800::200:5efe:a00:1", "fec0::1"]
G4_V4 = ["192.0.0.8", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "224.0.0.1", "239.1.1.1"]
G4_V4 += ["240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"]


@pytest.mark.parametrize("address", G4)
def test_bad_G4_addresses_of_ipv6(address: str, canary: Server, canary_6: Server) -> None:
    assert why_not_public(address)
    for port in (canary.port, canary_6.port):
        assert refused(f"http://[{address}]:{port}/", port).code == 30106


@pytest.mark.parametrize("address", G4_V4)
def test_bad_G4_addresses_of_ipv4(address: str) -> None:
    assert why_not_public(address)
    assert refused(f"http://{address}/").code == 30106


def test_bad_G4_an_address_of_one_link() -> None:
    assert why_not_public("fe80::1%eth0")
    assert why_not_public(f"{PUBLIC_6}%eth0")


@pytest.mark.parametrize(
    "address", [PUBLIC, PUBLIC_6, "172.32.0.1", "192.0.1.1", f"::ffff:{PUBLIC}", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address: str) -> None:
    assert why_not_public(address) == ""


def unreachable(address: str, port: int, seconds: float) -> socket.socket:
    raise AssertionError(f"connected to {address}")


@pytest.mark.parametrize("found", [["127.0.0.1"], [PUBLIC, "::1"], ["10.0.0.1", PUBLIC], [PUBLIC_6, PUBLIC, "fd00::1"]])
def test_bad_G5_every_record_must_pass(found: list[str]) -> None:
    fetcher = Fetcher(Settings(), QUICK, names(evil_example=found), unreachable)
    with pytest.raises(InvalidUrl, match=r"evil\.example"):
        fetcher.fetch(urls.parse("https://evil.example/a.png"))


def test_bad_G6_the_address_that_was_checked_is_the_one_connected_to(canary: Server) -> None:
    """A name that is public when it is looked at and private a moment later."""
    answers = itertools.chain([[PUBLIC]], itertools.repeat(["127.0.0.1"]))
    dialled: list[tuple[str, int]] = []

    def record(address: str, port: int, seconds: float) -> socket.socket:
        dialled.append((address, port))
        raise ConnectionRefusedError(111, "Connection refused")

    fetcher = Fetcher(Settings(fetch_ports=str(canary.port)), QUICK, lambda *_: next(answers), record)
    url = urls.parse(f"http://evil.example:{canary.port}/")
    with pytest.raises(DownloadFailed, match="refused"):
        fetcher.fetch(url)
    assert dialled == [(PUBLIC, canary.port)]
    with pytest.raises(InvalidUrl):
        fetcher.fetch(url)


def to_server(server: Server) -> Dial:
    """What stands in for the internet: whatever address was checked, the server answers."""
    return lambda address, port, seconds: dial("127.0.0.1", server.port, seconds)


def test_bad_G6_host_and_sni_are_the_name(tmp_path: Path) -> None:
    context, pem = certificate(tmp_path, "cdn.example")
    heard: list[str | None] = []
    context.sni_callback = lambda _, name, __: heard.append(name)
    trust = ssl.create_default_context(cafile=str(pem))
    with serving(answer(BODY), tls=context) as server:
        fetcher = Fetcher(Settings(), QUICK, names(cdn_example=[PUBLIC]), to_server(server), trust)
        assert fetcher.fetch(urls.parse("https://cdn.example/a.png")) == BODY
    assert heard == ["cdn.example"]
    assert "Host: cdn.example\r\n" in server.asked[0]


# -- G7: redirects -----------------------------------------------------------------------------------------------------


def test_redirects_are_followed_three_times() -> None:
    hops = by_path(a=redirect("/b"), b=redirect("c?x=1"), c=redirect("/d"), d=answer(BODY))
    assert fetch_from(hops) == BODY


G7 = [
    "http://127.0.0.1:{port}/",
    "http://[::1]:{port}/",
    "http://localhost:{port}/",
    "//127.0.0.1:{port}/",
    "file:///etc/passwd",
]
G7 += [
    "gopher://127.0.0.1:{port}/",
    "http://u:p@public.example/",
    "http://2130706433:{port}/",
    "",
    "http://[",
    "http://a b/",
]


@pytest.mark.parametrize("to", G7)
def test_bad_G7_each_hop_is_checked_again(to: str, canary: Server) -> None:
    with serving(redirect(to.format(port=canary.port))) as server:
        settings = Settings(fetch_ports=f"80,443,{canary.port}")
        fetcher = Fetcher(settings, QUICK, names(public_example=[PUBLIC]), to_server(server))
        with pytest.raises(DownloadFailed):
            fetcher.fetch(urls.parse("http://public.example/"))
    assert server.connections == 1


@pytest.mark.parametrize("hops", [1, 11])
def test_bad_G7_loops_and_long_chains_end(hops: int) -> None:
    count = itertools.count()
    with serving(lambda c, q: redirect(f"/{next(count) % hops}")(c, q)) as server:
        with pytest.raises(DownloadFailed, match="3 redirects"):
            fetch(server.url(), fetch_allow=server.allow)
        assert server.connections == 4


def test_bad_G7_from_https_to_http(tmp_path: Path, canary: Server) -> None:
    context, pem = certificate(tmp_path, "127.0.0.1")
    trust = ssl.create_default_context(cafile=str(pem))
    with serving(redirect(f"http://127.0.0.1:{canary.port}/"), tls=context) as server:
        fetcher = Fetcher(Settings(fetch_allow=f"{server.allow},{canary.allow}"), QUICK, trust=trust)
        with pytest.raises(DownloadFailed, match="https to http"):
            fetcher.fetch(urls.parse(f"https://127.0.0.1:{server.port}/"))


# -- P26: all of it at once, seen from Python's own sockets ------------------------------------------------------------


@pytest.fixture(scope="module")
def connects() -> list[object]:
    """Every address that this process connects a socket to from here on; such a hook cannot be taken out again."""
    seen: list[object] = []
    sys.addaudithook(lambda event, given: seen.append(given[1]) if event == "socket.connect" else None)
    return seen


def test_p26_nothing_private_is_ever_connected_to(connects: list[object], canary: Server, canary_6: Server) -> None:
    """Each target asked for itself, as what a public name resolves to, and at the end of a chain of redirects."""
    private = [*G4, *G4_V4, "169.254.169.254", "fd00:ec2::254", "168.63.129.16", "127.0.0.1"]
    hosts = [*G2, *(f"[{address}]" if ":" in address else address for address in private)]
    targets = [*(f"http://{host}:{canary.port}/" for host in hosts), *G1, *G8, "http://metadata.google.internal/"]
    targets += [f"http://{host}:{canary_6.port}/" for host in ("[::1]", "localhost", "[::ffff:127.0.0.1]")]
    assert len(targets) >= 90
    where = {"to": ""}

    def hops(connection: socket.socket, question: str) -> None:
        path = question.split(" ")[1]
        redirect({"/": "/b", "/b": where["to"]}.get(path, "/"))(connection, question)

    settings = Settings(fetch_ports=f"80,443,{canary.port},{canary_6.port}")
    with serving(hops) as site:

        def resolve(host: str, port: int, seconds: float) -> list[str]:
            return [PUBLIC] if host == "site.example" else addresses.resolve(host, port, seconds)

        fetcher = Fetcher(settings, QUICK, resolve, to_site(site))
        del connects[:]
        for target in targets:
            where["to"] = target.replace("\n", "").replace("\r", "").replace("\0", "") or "file:///"
            with pytest.raises(LuthierError):
                fetcher.fetch(urls.parse(target))
            with pytest.raises(LuthierError):
                fetcher.fetch(urls.parse("http://site.example/"))
        for address in private:
            with pytest.raises(InvalidUrl):
                Fetcher(settings, QUICK, lambda *_, found=address: [PUBLIC, found]).fetch(
                    urls.parse("http://a.example/")
                )
        assert set(connects) == {("127.0.0.1", site.port)}
        assert len(connects) == site.connections >= 2 * len(targets)


def to_site(site: Server) -> Dial:
    """The public address leads to the site; any other address would be dialled as it is, and seen."""
    return lambda address, port, seconds: dial(
        *(("127.0.0.1", site.port) if address == PUBLIC else (address, port)), seconds
    )


# -- G10, G11: servers that misbehave ----------------------------------------------------------------------------------


def limited(play: Play, error: type[LuthierError], match: str, seconds: float = 2.5) -> None:
    began = time.monotonic()
    with pytest.raises(error, match=match):
        fetch_from(play, max_input_mb=1)
    assert time.monotonic() - began < seconds


def test_bad_G10_a_server_that_never_answers() -> None:
    limited(silent, DownloadFailed, "no answer", 1.0)


def test_bad_G10_a_byte_at_a_time() -> None:
    limited(dribble(b"x", 0.05), DownloadFailed, "too long")
    limited(dribble(b"x", 0.05, b"HTTP/1.1 200 OK\r\nX: "), DownloadFailed, "too long")


def test_bad_G10_endless_headers_and_endless_interim_answers() -> None:
    limited(dribble(b"X: " + b"y" * 4000 + b"\r\n", 0, b"HTTP/1.1 200 OK\r\n"), DownloadFailed, "no whole HTTP")
    limited(dribble(b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, b""), DownloadFailed, "too long")


def test_bad_G10_bodies_without_end() -> None:
    piece = b"x" * 60000
    limited(dribble(piece, 0), DownloadTooLarge, "1 MiB")
    chunk = b"ea60\r\n" + piece + b"\r\n"
    limited(dribble(chunk, 0, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), DownloadTooLarge, "1 MiB")
    limited(answer(BODY, Content_Length="10000000000"), DownloadTooLarge, "1 MiB")


def test_bad_G10_a_wrong_content_length() -> None:
    limited(answer(BODY, Content_Length="100"), DownloadFailed, "no whole HTTP")
    limited(answer(BODY, Content_Length="-5"), DownloadFailed, "no whole HTTP")
    assert fetch_from(answer(BODY + b"more", Content_Length=str(len(BODY)))) == BODY


def test_bad_G10_what_counts_is_the_inflated_size() -> None:
    bomb = gzip.compress(b"\0" * 200_000_000)
    limited(answer(bomb, Content_Encoding="gzip"), DownloadTooLarge, "1 MiB")
    limited(answer(gzip.compress(bomb), Content_Encoding="gzip, gzip"), DownloadFailed, "compresses")
    limited(answer(BODY, Content_Encoding="br"), DownloadFailed, "compresses")
    limited(answer(gzip.compress(b"x" * 1000)[:-9], Content_Encoding="gzip"), DownloadFailed, "ends early")
    limited(answer(BODY, Content_Encoding="gzip"), DownloadFailed, "damaged")
    assert (
        fetch_from(answer(gzip.compress(b"x" * 1_048_576), Content_Encoding="gzip"), max_input_mb=1) == b"x" * 1_048_576
    )
    assert fetch_from(answer(zlib.compress(BODY), Content_Encoding="deflate")) == BODY


def test_bad_G10_looking_up_and_connecting_take_so_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*given: object, **more: object) -> list[object]:
        time.sleep(3)
        return []

    def lost(address: str, port: int, seconds: float) -> socket.socket:
        assert 0 < seconds <= QUICK.connect
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    began = time.monotonic()
    with pytest.raises(NoAddress, match="within 1 s"):
        fetch("http://slow.example/")
    assert time.monotonic() - began < 2
    with pytest.raises(DownloadFailed, match="no connection within 1 s"):
        Fetcher(Settings(), QUICK, names(lost_example=[PUBLIC]), lost).fetch(urls.parse("http://lost.example/"))
    assert (Limits().connect, Limits().first_byte, Limits().total) == (5, 10, 60)


def test_bad_G10_nobody_listens_or_no_such_name(canary: Server) -> None:
    with serving(answer()) as gone:
        pass
    assert refused(gone.url(), fetch_allow=gone.allow).code == 47101
    assert refused("http://no-such-name.invalid/").code == 47102


@pytest.mark.parametrize(
    "status", ["404 Not Found", "401 No", "500 Oops", "206 Partial", "204 None", "304 Same", "999 What"]
)
def test_bad_G11_only_200_brings_content(status: str) -> None:
    limited(answer(b"" if status[0] in "23" and status[:3] != "206" else BODY, status), DownloadFailed, status[:3])


def test_bad_G11_an_empty_body_and_no_http() -> None:
    limited(answer(b""), DownloadFailed, "empty body")
    limited(lambda c, _: c.sendall(b"SSH-2.0-OpenSSH_9\r\n\r\n"), DownloadFailed, "no whole HTTP")
    limited(lambda c, _: c.sendall(b""), DownloadFailed, "closed|no whole HTTP")
    limited(
        answer(status="101 Switching", Upgrade="x", Connection="upgrade"), DownloadFailed, "without an answer|no whole"
    )


# -- G12, G16, G17 -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, days, trusted", [("127.0.0.1", 1, False), ("127.0.0.1", -1, True), ("a.example", 1, True)]
)
def test_bad_G12_certificates(name: str, days: int, trusted: bool, tmp_path: Path) -> None:
    context, pem = certificate(tmp_path, name, days=days)
    trust = ssl.create_default_context(cafile=str(pem)) if trusted else None
    with serving(answer(BODY), tls=context) as server:
        fetcher = Fetcher(Settings(fetch_allow=server.allow), QUICK, trust=trust)
        with pytest.raises(DownloadFailed, match="certificate"):
            fetcher.fetch(urls.parse(f"https://127.0.0.1:{server.port}/"))
    assert server.asked == []


def test_bad_G12_no_tls_at_all() -> None:
    with serving(answer(BODY)) as server, pytest.raises(DownloadFailed):
        fetch(f"https://127.0.0.1:{server.port}/", fetch_allow=server.allow)


def test_bad_G16_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, canary: Server) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login joe password secret\n")
    with serving(answer(BODY, Set_Cookie="a=b")) as server:
        for _ in range(2):
            assert fetch(server.url(), fetch_allow=server.allow) == BODY
    sent = {line.split(":")[0] for asked in server.asked for line in asked.split("\r\n")[1:] if line}
    assert sent == {"Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"}


def test_bad_G17_nobody_is_led_off_or_onto_the_list(canary: Server) -> None:
    with serving(redirect(canary.url())) as server:
        ports = {"fetch_ports": str(canary.port)}
        assert refused(server.url(), fetch_allow=server.allow, ports=canary.port).code == 47101
        both = f"{server.allow},{canary.allow}"
        assert "fetch_allow" in refused(server.url(), fetch_allow=both).details
        outside = Fetcher(
            Settings(fetch_allow=canary.allow, **ports), QUICK, names(a_example=[PUBLIC]), to_server(server)
        )
        with pytest.raises(DownloadFailed, match="fetch_allow"):
            outside.fetch(urls.parse(f"http://a.example:{canary.port}/"))


def test_bad_G17_the_list_holds_host_and_port(canary: Server) -> None:
    with serving(answer(BODY)) as server:
        assert refused(canary.url(), canary.port, fetch_allow=server.allow).code == 30106
        assert refused(f"http://localhost:{server.port}/", server.port, fetch_allow=server.allow).code == 30106
    for wrong in ("minio", "minio:http", ":80"):
        with pytest.raises(InvalidSettings, match="fetch_allow"):
            fetch("http://a.example/", fetch_allow=wrong)


def test_nothing_is_fetched_where_fetching_is_off_and_only_the_list_offline() -> None:
    with serving(answer(BODY)) as server:
        assert "fetch_urls" in refused(server.url(), fetch_allow=server.allow, fetch_urls=False).details
        assert server.connections == 0
        assert "offline" in refused("http://public.example/", offline=True).details
        assert fetch(server.url(), fetch_allow=server.allow, offline=True) == BODY


def test_a_fetch_stops_when_it_is_no_longer_wanted() -> None:
    class StoppedError(Exception):
        pass

    def check() -> None:
        if time.monotonic() > began + 0.3:
            raise StoppedError

    began = time.monotonic()
    with serving(silent) as server, pytest.raises(StoppedError):
        Fetcher(Settings(fetch_allow=server.allow)).fetch(urls.parse(server.url()), check)
    assert time.monotonic() - began < 1.5


def test_bad_G14_secrets_are_masked() -> None:
    url = urls.parse("https://h.example/a.png?X-Amz-Signature=abc&b=c=d&secret")
    assert url.masked == "https://h.example/a.png?X-Amz-Signature=***&b=***&***"
    assert urls.parse("https://h.example/a.png").masked == "https://h.example/a.png"
