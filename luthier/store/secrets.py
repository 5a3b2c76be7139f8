"""The installation's secret key, and the URLs signed with it. Next: `api/files`, which serves what they name."""

import hashlib
import hmac
import os
import secrets
from functools import lru_cache
from pathlib import Path

from luthier.errors import CorruptFile
from luthier.settings import Settings

KEY_BYTES = 32
MEDIA_PATH = "/luthier/v1/media/"


def signed_log_url(settings: Settings, version_id: str) -> str:
    """Where the training log of a model version can be read, by whoever has the URL, without a header."""
    return f"{settings.base_url}/luthier/v1/logs/{version_id}?sig={_signature(settings, 'log', version_id)}"


def check_log_signature(settings: Settings, version_id: str, signature: str) -> bool:
    return _same(_signature(settings, "log", version_id), signature)


def signed_export_url(settings: Settings, export_id: str) -> str:
    """Where the archive of a dataset version can be downloaded, by whoever has the URL."""
    return f"{settings.base_url}/luthier/v1/exports/{export_id}?sig={_signature(settings, 'export', export_id)}"


def check_export_signature(settings: Settings, export_id: str, signature: str) -> bool:
    return _same(_signature(settings, "export", export_id), signature)


def signed_media_url(settings: Settings, sha: str) -> tuple[str, str]:
    """(prefix, suffix) of a stored file's address, as the wire's HostedURL has it: prefix/orig/suffix is the URL."""
    return f"{settings.base_url}{MEDIA_PATH}".rstrip("/"), f"{sha}?sig={_signature(settings, 'media', sha)}"


def check_media_signature(settings: Settings, sha: str, signature: str) -> bool:
    return _same(_signature(settings, "media", sha), signature)


def media_named_by(settings: Settings, url: str) -> str:
    """The SHA-256 of the stored file that a `signed_media_url` of ours leads to; "" for any other URL."""
    prefix = f"{settings.base_url}{MEDIA_PATH}orig/"
    sha, _, signature = url.removeprefix(prefix).partition("?sig=")
    return sha if url.startswith(prefix) and check_media_signature(settings, sha, signature) else ""


def _same(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))


def _signature(settings: Settings, kind: str, name: str) -> str:
    named = f"{kind}\0{name}".encode("utf-8", "replace")
    return hmac.digest(_key(settings.data_dir), named, hashlib.sha256).hex()  # a page of a list takes a thousand


@lru_cache(maxsize=8)
def _key(data_dir: Path) -> bytes:
    """Made at the first use. Two processes that start at once agree: the link below succeeds for one of them only."""
    file = data_dir / "secret.key"
    if not file.exists():
        _make(file)
    key = file.read_bytes()
    if len(key) != KEY_BYTES:
        raise CorruptFile(f"{file.name} has {len(key)} bytes, not {KEY_BYTES}; remove it and restart")
    return key


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(secrets.token_bytes(KEY_BYTES))
        stream.flush()
        os.fsync(stream.fileno())
    try:
        os.link(draft, file)
    except FileExistsError:
        pass  # another process was first: its key counts
    finally:
        draft.unlink()
