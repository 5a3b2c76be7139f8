"""Stored pictures and texts by their signed URLs: bytes as they were sent, and nothing that a browser would run."""

import pytest

from luthier.store.blobs import Blobs
from luthier.store.secrets import media_named_by, signed_media_url
from tests.api.conftest import Running
from tests.rpcs.pictures import picture


def stored(server: Running, data: bytes) -> str:
    """The path of its URL."""
    blobs = Blobs(server.settings.blobs_folder)
    prefix, suffix = signed_media_url(server.settings, blobs.put(data))
    blobs.close()
    return f"{prefix}/orig/{suffix}".removeprefix(f"http://{server.settings.http_address}")


@pytest.mark.parametrize(
    "data, kind",
    [
        (picture("PNG"), "image/png"),
        (picture("JPEG"), "image/jpeg"),
        (picture("WEBP"), "image/webp"),
        ("naïve \0".encode(), "application/octet-stream"),
        (b"x" * 700_000, "application/octet-stream"),
    ],
)
def test_the_bytes_come_as_they_were_sent(server: Running, data: bytes, kind: str) -> None:
    answer = server.ask("GET", stored(server, data), token=None)
    assert (answer.status, answer.body) == (200, data)
    assert answer.headers["content-type"] == kind
    assert answer.headers["content-length"] == str(len(data))
    assert server.ask("HEAD", stored(server, data), token=None).body == b""


@pytest.mark.parametrize("data", [b"<script>alert(1)</script>", b"GIF89a/*\0\0*/=1;<script>", b"\xff\xd8\xff<html>"])
def test_bad_D11_no_browser_shows_it_as_a_page(server: Running, data: bytes) -> None:
    headers = server.ask("GET", stored(server, data), token=None).headers
    assert headers["content-disposition"].startswith("attachment")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "html" not in headers["content-type"]


def test_a_wrong_signature_looks_like_no_file(server: Running) -> None:
    path = stored(server, b"some text")
    sha = path.partition("/orig/")[2].partition("?")[0]
    gone = signed_media_url(server.settings, "0" * 64)[1]
    wrong = [path[:-1] + "x", path.partition("?")[0], path.replace(sha, "1" * 64), f"/luthier/v1/media/orig/{gone}"]
    wrong += [path.replace("orig", "small"), path.replace(sha, "../" * 3 + "secret.key"), "/luthier/v1/media/"]
    answers = [server.ask("GET", one, token=None) for one in wrong]
    assert {(answer.status, answer.code, answer.details) for answer in answers} == {
        (404, 11101, "there is no file at this address, or its signature is wrong")
    }
    assert server.ask("POST", path, b"{}", token=None).status == 405


def test_our_own_urls_are_known_again(server: Running) -> None:
    base = f"http://{server.settings.http_address}"
    url = base + stored(server, b"some text")
    assert media_named_by(server.settings, url) in url
    for other in ("", url[:-1] + "x", url.replace(base, "http://elsewhere.example"), url.partition("?")[0]):
        assert media_named_by(server.settings, other) == ""
