"""Every setting once: its environment variable, default, unit and help. Read from the environment, then one TOML file.

`load()` is what programs call; `luthier settings` prints `describe()`.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from luthier.errors import InvalidSettings, shown

ENVIRONMENT_PREFIX = "LUTHIER_"


def _setting(default: Any, help_text: str, unit: str = "", *, secret: bool = False) -> Any:
    """`secret`: a URL that may hold a password, which is never shown."""
    return field(default=default, repr=not secret, metadata={"help": help_text, "unit": unit, "secret": secret})


@dataclass(frozen=True)
class Settings:
    """One field per setting; the environment variable is `LUTHIER_` and the name in capitals."""

    data_dir: Path = _setting(Path("luthier-data"), "folder that holds the database, uploaded files, runs and models")
    database_url: str = _setting(
        "", "PostgreSQL, postgresql+psycopg://user:password@host/name; unset: SQLite in the data folder", secret=True
    )
    http_address: str = _setting("127.0.0.1:8080", "where REST listens", "host:port")
    grpc_address: str = _setting("127.0.0.1:8081", "where plain gRPC listens", "host:port")
    grpc_tls_address: str = _setting("127.0.0.1:8443", "where gRPC over TLS listens", "host:port")
    tls_certificate: Path | None = _setting(None, "PEM certificate for TLS; unset: one signed by tls/ca.pem")
    tls_private_key: Path | None = _setting(None, "PEM private key that belongs to tls_certificate")
    public_url: str = _setting("", "prefix of every URL that is handed out; unset: http:// and the HTTP address")
    allowed_hosts: str = _setting("", "further host names that REST answers to, separated by commas")
    weights_dir: Path | None = _setting(None, "folder of pre-trained weights; unset: weights/ in the data folder")
    offline: bool = _setting(False, "never fetch weights from the hub, nor URLs from the internet")
    log_format: str = _setting("text", "server log lines as text or json")
    lease_seconds: float = _setting(30.0, "a job whose worker shows no life for so long goes to another", "seconds")
    heartbeat_seconds: float = _setting(1.0, "how often a worker shows that it lives", "seconds")
    training_slots: int = _setting(1, "trainings that one worker runs at once")
    training_threads: int = _setting(0, "processor threads per training; 0: all cores, or OMP_NUM_THREADS")
    image_cache_mb: int = _setting(1024, "memory for decoded pictures per training", "MiB")
    token_cache_mb: int = _setting(256, "disk for tokens of texts that later trainings read again; 0: none", "MiB")
    loaded_models: int = _setting(4, "models that the predictors keep in memory")
    warm_start: bool = _setting(True, "keep a trainer process ready, so that training starts at once")
    max_request_mb: int = _setting(128, "largest request body", "MiB")
    max_input_mb: int = _setting(20, "largest picture or text", "MiB")
    max_concepts_per_model: int = _setting(1000, "most concepts that one model may learn")
    queued_jobs_per_user: int = _setting(1000, "trainings that one user may have waiting")
    decode_memory_mb: int = _setting(1536, "memory limit of a process that decodes pictures or a video", "MiB")
    decode_seconds: float = _setting(5.0, "time limit for decoding one picture", "seconds")
    max_video_mb: int = _setting(100, "largest video that is sent for predictions", "MiB")
    video_seconds: float = _setting(300.0, "time limit for decoding a video and predicting its frames", "seconds")
    fetch_urls: bool = _setting(True, "fetch inputs that are sent as URLs; offline: only from fetch_allow")
    fetch_ports: str = _setting("80,443", "ports that URLs may name, separated by commas")
    fetch_allow: str = _setting("", "private hosts that URLs may name whatever their address, as host:port, by commas")
    max_upload_mb: int = _setting(20480, "largest file that arrives in parts, such as an archive", "MiB")
    max_archive_mb: int = _setting(20480, "most that an uploaded archive may unpack to", "MiB")
    max_archive_files: int = _setting(100_000, "most files in an uploaded archive")
    upload_days: int = _setting(7, "an upload that has not become inputs is removed after so long", "days")
    disk_reserve_mb: int = _setting(512, "free space below which uploads and checkpoints are refused", "MiB")

    @property
    def weights_folder(self) -> Path:
        return self.weights_dir or self.data_dir / "weights"

    @property
    def blobs_folder(self) -> Path:
        return self.data_dir / "blobs"

    @property
    def uploads_folder(self) -> Path:
        return self.data_dir / "uploads"

    @property
    def runs_folder(self) -> Path:
        return self.data_dir / "runs"

    @property
    def vectors_folder(self) -> Path:
        return self.data_dir / "vectors"

    @property
    def tokens_folder(self) -> Path:
        return self.data_dir / "tokens"

    @property
    def database_file(self) -> Path:
        return self.data_dir / "luthier.db"

    @property
    def predictors_socket(self) -> Path:
        return self.data_dir / "predictors.sock"

    @property
    def base_url(self) -> str:
        return self.public_url.rstrip("/") or f"http://{self.http_address}"


@dataclass(frozen=True)
class SettingRow:
    """One line of `luthier settings`. `source` is "default", "file" or the variable's name."""

    name: str
    variable: str
    value: object
    unit: str
    source: str
    help: str


def load(environment: Mapping[str, str] | None = None, file: Path | None = None) -> Settings:
    """Settings from the environment over the TOML file over the defaults; raises InvalidSettings.

    The file is `file`, else the one that LUTHIER_SETTINGS names, else `luthier.toml` in the working directory.
    """
    return _load(os.environ if environment is None else environment, file)[0]


def describe(environment: Mapping[str, str] | None = None, file: Path | None = None) -> list[SettingRow]:
    """Every setting with its value in force and where that came from."""
    settings, sources = _load(os.environ if environment is None else environment, file)
    return [
        SettingRow(
            name=f.name,
            variable=ENVIRONMENT_PREFIX + f.name.upper(),
            value=_shown(f.metadata["secret"], getattr(settings, f.name)),
            unit=f.metadata["unit"],
            source=sources.get(f.name, "default"),
            help=f.metadata["help"],
        )
        for f in fields(Settings)
    ]


def _shown(secret: bool, value: object) -> object:
    return without_password(str(value)) if secret else value


def without_password(url: str) -> str:
    """A database URL as it may be shown; rather too much of it is hidden than too little."""
    if url and "://" not in url:
        return "***"
    plain = re.sub(r"://([^:/?@]*):.*@", r"://\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&][^=&]*password[^=&]*=)[^&]*", r"\1***", plain, flags=re.IGNORECASE)


def _load(environment: Mapping[str, str], file: Path | None) -> tuple[Settings, dict[str, str]]:
    types = {f.name: f.type for f in fields(Settings)}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, raw in _read_file(environment, file).items():
        if name not in types:
            raise InvalidSettings(f"unknown setting {shown(name)!r} in the file; `luthier settings` lists them all")
        values[name], sources[name] = _convert(name, types[name], raw), "file"
    for name in types:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if environment.get(variable, "") != "":
            values[name], sources[name] = _convert(variable, types[name], environment[variable]), variable
    settings = Settings(**values)
    return settings, sources


def _read_file(environment: Mapping[str, str], file: Path | None) -> dict[str, Any]:
    named = file or (Path(environment["LUTHIER_SETTINGS"]) if environment.get("LUTHIER_SETTINGS") else None)
    path = named or Path("luthier.toml")
    if not path.exists():
        if named:
            raise InvalidSettings(f"settings file {path} does not exist")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"settings file {path}: {error}") from error


_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def _convert(name: str, kind: Any, raw: object) -> object:
    text = str(raw).strip()
    try:
        if kind is bool:
            return _boolean(text)
        if kind is int:
            return _not_negative(int(text))
        if kind is float:
            return _not_negative(float(text))
    except ValueError as error:
        raise InvalidSettings(f"{name} is {shown(text)!r}: {error}") from error
    return Path(text).expanduser() if kind in (Path, Path | None) else text


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("give true or false")


def _not_negative(value: float) -> float:
    if value >= 0:
        return value
    raise ValueError("give a number that is not negative")
