"""Opens the data folder for a command: refuses a network file system, brings the tables up to date."""

from collections.abc import Iterator
from contextlib import contextmanager

from luthier.commands import file_systems
from luthier.errors import InvalidSettings
from luthier.settings import Settings
from luthier.store.database import Database
from luthier.store.migrations import migrate, revision


def refuse_network_file_system(settings: Settings) -> None:
    """Raises InvalidSettings where SQLite would lose data."""
    kind = file_systems.kind_of(settings.data_dir)
    if file_systems.is_network(kind) and not settings.database_url:
        says, remedy = file_systems.network_refusal(settings.data_dir, kind)
        raise InvalidSettings(f"{says}; {remedy}")


@contextmanager
def connected(settings: Settings) -> Iterator[Database]:
    """The database as it is, in a data folder that is made if need be. Raises InvalidSettings where it is not there."""
    refuse_network_file_system(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database.of(settings)
    try:
        database.require_reachable()
        yield database
    finally:
        database.close()


@contextmanager
def opened(settings: Settings, make: bool = False) -> Iterator[Database]:
    """The database brought up to date; closed at the end. `make` makes one where there is none."""
    if not make and not settings.database_url and not settings.database_file.exists():
        where = settings.data_dir.absolute()
        raise InvalidSettings(
            f"no database in the data folder {where}; set LUTHIER_DATA_DIR, or let `luthier serve` make it"
        )
    with connected(settings) as database:
        if not make and not revision(database):
            raise InvalidSettings(f"no tables in {database.where}; `luthier serve` or `luthier migrate` makes them")
        migrate(database)
        yield database
