"""Runs the demo: digits on disk, a server of its own, the main job, its accuracy. Exit status 1 where it is too low."""

import importlib.util
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from luthier.commands.demo import digits
from luthier.commands.demo.server import DemoServer
from luthier.commands.serve import certificate_authority

FOLDER = Path(".demo")
LEAST_ACCURACY = 0.97


def main() -> int:
    if importlib.util.find_spec("sklearn") is None:
        click.echo("The demo's pictures come with scikit-learn: pip install -c constraints.txt -e '.[demo]'", err=True)
        return 2
    FOLDER.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=FOLDER)).absolute()
    begun = time.monotonic()
    try:
        accuracy = _run(folder)
    except Exception as error:  # whatever stopped it: a person wants the reason and the place of the logs
        click.echo(f"\nThe demo failed: {error}\nIts files are kept in {folder}", err=True)
        return 1
    shutil.rmtree(folder)
    click.echo(f"\nDone in {time.monotonic() - begun:.0f} s.")
    click.echo(f"test accuracy {accuracy:.2f}\n")
    program = Path(sys.executable).parent / "luthier"
    click.echo(f"Start the server for your own data:  {_relative(program)} serve")
    if accuracy < LEAST_ACCURACY:
        click.echo(f"That is less than {LEAST_ACCURACY}: something is wrong with this installation.", err=True)
        return 1
    return 0


def _run(folder: Path) -> float:
    from luthier.commands.demo.calls import Calls
    from luthier.commands.demo.main_job import MainJob

    everything = digits.write(folder / "digits")
    to_upload, unseen = digits.hold_out(everything)
    click.echo(f"{len(everything)} handwritten digits written as PNG files, {len(unseen)} of them held back")
    with DemoServer(folder / "data") as server:
        click.echo(f"Server ready: REST {server.settings.base_url}, gRPC over TLS {server.settings.grpc_tls_address}\n")
        authority = certificate_authority(server.settings)
        calls = Calls(server.settings.grpc_tls_address, authority, server.exports["CLARIFAI_PAT"])
        return MainJob(calls, server.exports["CLARIFAI_USER_ID"]).run(to_upload, unseen)


def _relative(program: Path) -> Path:
    return program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program


if __name__ == "__main__":
    sys.exit(main())
