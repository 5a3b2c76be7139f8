"""`luthier migrate`: brings the database to the form that this version knows. The steps are in store/migrations."""

import click

from luthier.commands.command_line import Options
from luthier.commands.data_folder import connected
from luthier.store.migrations import migrate


@click.command("migrate")
@click.option(
    "--to", "target", default="head", show_default=True, metavar="REVISION", help="Another revision, or base."
)
@click.pass_obj
def command(options: Options, target: str) -> None:
    """Bring the database to the tables that this version knows: all of it or nothing.

    `luthier serve` does this by itself at each start.
    """
    with connected(options.settings()) as database:
        before, after = migrate(database, target)
        where = database.where
    if before == after:
        click.echo(f"{where}: nothing to do, it is at {after or 'base'}")
    else:
        click.echo(f"{where}: from {before or 'an empty database'} to {after or 'base'}")
