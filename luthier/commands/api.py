"""`luthier api`, hidden: the process that serve starts for REST, gRPC and gRPC over TLS."""

from collections.abc import Callable

import click

from luthier.commands.command_line import Options
from luthier.commands.lifeline import as_process


@click.command("api", hidden=True)
@click.pass_obj
@as_process
def command(options: Options, /, on_ready: Callable[[], None]) -> None:
    """The API alone, on a database that is up to date. `luthier serve` starts it with all that belongs to it."""
    from luthier.api import server

    server.run(options.settings(), on_ready)
