"""The certificate of the TLS listener: a given one, or one of our own authority in the data folder's tls/.

Clients trust tls/ca.pem (GRPC_DEFAULT_SSL_ROOTS_FILE_PATH for the Python client). Next: `grpc_server`.
"""

import ipaddress
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from luthier.api.hosts import split_address
from luthier.errors import InvalidSettings
from luthier.settings import Settings

AUTHORITY_YEARS = 10
CERTIFICATE_DAYS = 397  # what clients accept at most from a public authority
RENEW_DAYS = 60
_BACKDATED = timedelta(days=1)  # for clients whose clock is behind


@dataclass(frozen=True)
class Certificate:
    """PEM, as gRPC takes them."""

    private_key: bytes
    chain: bytes


def certificate(settings: Settings) -> Certificate:
    """The given one, else our own, made or renewed where needed. Raises InvalidSettings."""
    if settings.tls_certificate or settings.tls_private_key:
        return _given(settings)
    return _own(settings.data_dir / "tls", names(settings))


def names(settings: Settings) -> list[str]:
    """What the server may be called: loopback, this machine, the public URL's host and the addresses it listens on."""
    wanted = ["localhost", "127.0.0.1", "::1", socket.gethostname().lower()]
    wanted += [urlsplit(settings.public_url).hostname or "", split_address(settings.grpc_tls_address)[0]]
    wanted += [name.strip().lower() for name in settings.allowed_hosts.split(",")]
    return list(dict.fromkeys(name for name in wanted if name not in ("", "0.0.0.0", "::")))  # noqa: S104 - not bound to


def _given(settings: Settings) -> Certificate:
    if not settings.tls_certificate or not settings.tls_private_key:
        raise InvalidSettings("LUTHIER_TLS_CERTIFICATE and LUTHIER_TLS_PRIVATE_KEY belong together; set both or none")
    try:
        found = Certificate(settings.tls_private_key.read_bytes(), settings.tls_certificate.read_bytes())
        key = serialization.load_pem_private_key(found.private_key, None)
        leaf = x509.load_pem_x509_certificate(found.chain)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidSettings(f"the TLS certificate or its key cannot be read: {error}") from error
    if key.public_key() != leaf.public_key():
        raise InvalidSettings("LUTHIER_TLS_PRIVATE_KEY does not belong to LUTHIER_TLS_CERTIFICATE")
    return found


def _own(folder: Path, wanted: list[str]) -> Certificate:
    folder.mkdir(parents=True, exist_ok=True)
    authority_file, authority_key_file = folder / "ca.pem", folder / "ca.key"
    authority, authority_key = _load(authority_file, authority_key_file)
    if authority is None or authority_key is None or not _fresh(authority):
        authority, authority_key = _make_authority()
        _save(authority_key_file, authority_file, authority_key, authority)
    leaf, leaf_key = _load(folder / "server.pem", folder / "server.key")
    if leaf is None or leaf_key is None or not (_fresh(leaf) and _covers(leaf, wanted) and _signed(leaf, authority)):
        leaf, leaf_key = _make_leaf(wanted, authority, authority_key)
        _save(folder / "server.key", folder / "server.pem", leaf_key, leaf)
    return Certificate(_key_pem(leaf_key), _pem(leaf) + _pem(authority))


Key = ec.EllipticCurvePrivateKey


def _load(certificate_file: Path, key_file: Path) -> tuple[x509.Certificate | None, Key | None]:
    try:
        found = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError):
        return None, None
    if not isinstance(key, Key) or key.public_key() != found.public_key():
        return None, None
    return found, key


def _fresh(found: x509.Certificate) -> bool:
    return found.not_valid_after_utc - datetime.now(UTC) > timedelta(days=RENEW_DAYS)


def _covers(leaf: x509.Certificate, wanted: list[str]) -> bool:
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return all(_general_name(name) in list(held) for name in wanted)


def _signed(leaf: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode("ascii"))


def _builder(subject: str, issuer: x509.Name | None, key: Key, days: int) -> x509.CertificateBuilder:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer or name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _make_authority() -> tuple[x509.Certificate, Key]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(f"Luthier authority of {socket.gethostname()}"[:64], None, key, AUTHORITY_YEARS * 365)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.add_extension(_usage(authority=True), critical=True).sign(key, hashes.SHA256()), key


def _make_leaf(wanted: list[str], authority: x509.Certificate, authority_key: Key) -> tuple[x509.Certificate, Key]:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    builder = (
        _builder("luthier", authority.subject, key, CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return builder.sign(authority_key, hashes.SHA256()), key


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(found: x509.Certificate) -> bytes:
    return found.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Key) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _save(key_file: Path, certificate_file: Path, key: Key, found: x509.Certificate) -> None:
    _write(key_file, _key_pem(key), 0o600)
    _write(certificate_file, _pem(found), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all; a private key is never readable by others, not even for a moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
