"""`luthier migrate`: brings the database to the form that this version knows. The steps are in store/migrations."""

import click

from luthier.commands.command_line import Options
from luthier.commands.data_folder import refuse_network_file_system
from luthier.store.database import Database
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
    settings = options.settings()
    refuse_network_file_system(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database.at(settings.database_file)
    try:
        before, after = migrate(database, target)
    finally:
        database.close()
    if before == after:
        click.echo(f"{settings.database_file}: nothing to do, it is at {after or 'base'}")
    else:
        click.echo(f"{settings.database_file}: from {before or 'an empty database'} to {after or 'base'}")
