"""`luthier api`, hidden: the process that serve starts for REST, gRPC and gRPC over TLS."""

import click

from luthier.commands import lifeline
from luthier.commands.command_line import Options


@click.command("api", hidden=True)
@lifeline.supervised
@lifeline.ready_fd
@click.pass_obj
def command(options: Options, supervised: bool, ready_fd: int | None) -> None:
    """The API alone, on a database that is up to date. `luthier serve` starts it with all that belongs to it."""
    from luthier.api import server

    if supervised:
        lifeline.hold()
    server.run(options.settings(), lifeline.ready_signal(ready_fd))
