"""`luthier serve`: the whole platform on this machine, as processes of their own that this one keeps alive."""

import errno
import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from luthier import __version__
from luthier.commands.command_line import FAILED, Options
from luthier.commands.data_folder import opened
from luthier.commands.processes import Child, Supervisor
from luthier.errors import InvalidSettings
from luthier.settings import ENVIRONMENT_PREFIX, Settings
from luthier.store import jobs, tokens, urls
from luthier.store.database import Database

READY_SECONDS = 60.0
API_DRAIN_SECONDS = 20.0  # calls in flight are answered
WORKER_DRAIN_SECONDS = 30.0  # a running training saves where it stands
PREDICTORS_DRAIN_SECONDS = 10.0


@click.command("serve")
@click.option("--quiet", is_flag=True, help="Say nothing but warnings (and the first start's token).")
@click.pass_obj
def command(options: Options, quiet: bool) -> int:
    """Start everything: the API (REST, gRPC, gRPC over TLS), a worker and the predictors.

    All data is kept in one folder, luthier-data here unless LUTHIER_DATA_DIR names another; `luthier settings` lists
    what else can be set. The very first start makes a user and shows one token. Ctrl-C or SIGTERM ends everything in
    good order: calls are answered, a running training saves where it stands and goes on at the next start. A second
    Ctrl-C ends at once.
    """
    settings = options.settings()
    urls.rules(settings)  # what cannot be read there is told now, not by a worker that ends again and again
    with opened(settings, make=True) as database, _only_server(settings):
        _refuse_taken_addresses(settings)
        _introduce_first_user(settings, database)
        return _supervise(settings, _environment(options), database, quiet)


def _environment(options: Options) -> dict[str, str]:
    """What the processes see: this one's environment, and the same settings file wherever they look."""
    environment = dict(os.environ)
    if options.settings_file:
        environment[ENVIRONMENT_PREFIX + "SETTINGS"] = str(options.settings_file.absolute())
    return environment


def _supervise(settings: Settings, environment: dict[str, str], database: Database, quiet: bool) -> int:
    children = _children(database, ["--quiet"] if quiet else [])
    supervisor = Supervisor(children, environment, say=lambda text: click.echo(f"luthier serve: {text}", err=True))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, supervisor.request_stop)
    try:
        supervisor.start()
        if not supervisor.wait_ready(children[0], READY_SECONDS) and not supervisor.stopping:
            click.echo("luthier serve: the API did not start; what it said stands above", err=True)
            return FAILED
        if not quiet and not supervisor.stopping:
            click.echo(_ready_block(settings))
        supervisor.run()
    finally:
        supervisor.stop()
    if not quiet:
        click.echo("Luthier has stopped.")
    return 0


def _children(database: Database, quiet: list[str]) -> list[Child]:
    """The API first; in the order in which they are ended."""

    def worker_died(start: int) -> None:
        jobs.release_owner(database, _owner(start))  # its jobs go on at once, not when their leases run out

    return [
        Child("the API", lambda start: ["api", *quiet], API_DRAIN_SECONDS),
        Child(
            "the worker", lambda start: ["worker", "--owner", _owner(start), *quiet], WORKER_DRAIN_SECONDS, worker_died
        ),
        Child("the predictors process", lambda start: ["predictors", *quiet], PREDICTORS_DRAIN_SECONDS),
    ]


def _owner(start: int) -> str:
    """A name that no other worker has or had: jobs know their worker by it."""
    return f"{socket.gethostname()[:40]}-serve{os.getpid()}-{start}"


@contextmanager
def _only_server(settings: Settings) -> Iterator[None]:
    """Two servers on one data folder would fight; raises InvalidSettings that names the other one."""
    with (settings.data_dir / "serve.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            other = file.read().strip() or "unknown"
            raise InvalidSettings(
                f"another luthier serve (process {other}) uses the data folder {settings.data_dir.absolute()}; "
                "stop it, or set LUTHIER_DATA_DIR to another folder"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _refuse_taken_addresses(settings: Settings) -> None:
    """Raises InvalidSettings that names the address and the setting, before anything is started."""
    for name in ("http_address", "grpc_address", "grpc_tls_address"):
        problem = _cannot_listen(getattr(settings, name))
        if problem:
            variable = ENVIRONMENT_PREFIX + name.upper()
            raise InvalidSettings(
                f"{variable} is {getattr(settings, name)}: {problem}; stop what uses it or set another"
            )


def _cannot_listen(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        return "not of the form host:port"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen(1)
    except socket.gaierror as error:
        return f"the host is not known ({error.strerror})"
    except OSError as error:
        return "this port is taken" if error.errno == errno.EADDRINUSE else str(error.strerror)
    return ""


def certificate_authority(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "tls" / "ca.pem"


def _introduce_first_user(settings: Settings, database: Database) -> None:
    """At the very first start: makes a user and shows its token, this once."""
    with database.write() as connection:
        first = tokens.first_user(connection)
    if not first:
        return
    user_id, token = first
    lines = [
        f"First start: user {user_id} has been made, with a token. It is shown this once; keep it.",
        "",
        f"  export CLARIFAI_USER_ID={user_id}",
        f"  export CLARIFAI_PAT={token}",
        "",
        "Clarifai's clients find this server by",
        "",
        f"  export CLARIFAI_API_BASE=http://{settings.grpc_address}    # Python SDK (clarifai)",
        f"  export CLARIFAI_GRPC_BASE={settings.grpc_tls_address}    # clarifai-grpc, over TLS",
    ]
    if settings.tls_certificate is None:
        lines.append(f"  export GRPC_DEFAULT_SSL_ROOTS_FILE_PATH='{certificate_authority(settings)}'")
    lines.append(f'  curl -H "Authorization: Key $CLARIFAI_PAT" {settings.base_url}/v2/users/me')
    click.echo("\n".join(lines) + "\n")


def _ready_block(settings: Settings) -> str:
    own = settings.tls_certificate is None
    authority = f"trust {certificate_authority(settings)}" if own else f"certificate {settings.tls_certificate}"
    return "\n".join(
        [
            click.style(f"Luthier {__version__} is ready.", bold=True),
            f"  REST           {settings.base_url}",
            f"  gRPC           {settings.grpc_address}",
            f"  gRPC over TLS  {settings.grpc_tls_address}  ({authority})",
            f"  data           {settings.data_dir.absolute()}",
            "  access         `luthier token create` makes a token",
            f"  to stop        Ctrl-C, or kill {os.getpid()}",
        ]
    )
