"""`luthier import`: a folder, table or archive -> inputs of an app, in the data folder. Next: `worker/importing`.

A running server shows them at once. Pictures are decoded here, in helper processes, before they count.
"""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from luthier.commands import train_output as show
from luthier.commands.command_line import FAILED, INTERRUPTED, Options
from luthier.commands.data_folder import opened
from luthier.commands.train_data import column_names
from luthier.data import archives
from luthier.errors import DoesNotExist, InvalidRequest, LuthierError, shown
from luthier.rpcs.ids import new_id, plain_id
from luthier.settings import Settings
from luthier.store import accounts, datasets, imports, inputs, resources, tables
from luthier.store.blobs import Blobs
from luthier.store.database import Connection, Database
from luthier.store.imports import Import, Item, Request
from luthier.worker.import_job import IMPORTING
from luthier.worker.importing.bring_in import Place, bring_in
from luthier.worker.importing.source import unpacked
from luthier.worker.lease import Interrupted

PAGE = 1000


@dataclass(frozen=True)
class Arguments:
    """The command line."""

    data: Path
    app: str
    user: str | None
    datasets: tuple[str, ...]
    create: bool
    request: Request


@click.command("import")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--app", required=True, metavar="ID", help="The app that they become inputs of.")
@click.option("--user", metavar="ID", help="Whose app it is; the only user where there is one.")
@click.option("--dataset", "datasets", multiple=True, metavar="ID", help="A dataset to put them into; may be repeated.")
@click.option("--create", is_flag=True, help="Make the app and the datasets where they are not there.")
@click.option(
    "--columns", multiple=True, metavar="NAME=COLUMN", help="A table's own column name: --columns image=file."
)
@click.option("--keep-good", is_flag=True, help="Leave out rows that cannot be read; else one of them stops it all.")
@click.option("--skip-existing", is_flag=True, help="Leave inputs as they are whose id is there with other content.")
@click.option(
    "--json", "as_json", is_flag=True, help="The last line of stdout is the result as JSON, with every rejected item."
)
@click.pass_obj
def command(
    options: Options,
    /,
    data: Path,
    columns: Sequence[str],
    keep_good: bool,
    skip_existing: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Bring labelled data into an app. No server needs to run; one that does shows them at once.

    DATA is a folder with a sub-folder per class, a CSV or TSV table, JSON lines, COCO, YOLO, Pascal VOC, mask PNGs,
    MVTec, CoNLL or a Label Studio export; or a .zip or .tar.gz of one of these. Splits that the data tell are kept.

    \b
    luthier import pictures/ --app pets --dataset all --create
    luthier import mails.csv --app mails --columns text=body --columns label=kind
    luthier import coco.zip --app streets --dataset drawn

    Every item becomes an input or is listed with the reason why not. The same data again change nothing.
    """
    request = Request(
        content_name=data.name,
        dataset_ids=tuple(dict.fromkeys(given["datasets"])),
        columns=column_names(columns),
        keep_good=keep_good,
        skip=skip_existing,
    )
    out = show.console(to_stderr=as_json)
    arguments = Arguments(data, request=request, **given)
    if not data.exists():
        raise InvalidRequest(f"{data}: there is no file and no folder of this name")
    with opened(options.settings()) as database:
        one, rejected = run(database, options.settings(), arguments, out)
    _tell(out, arguments, one, rejected)
    if as_json:
        click.echo(json.dumps(_as_dict(arguments, one, rejected)))
    return _exit_status(one)


def run(database: Database, settings: Settings, arguments: Arguments, out: Console) -> tuple[Import, list[Item]]:
    """The import as it ended, and the items that it rejected. Raises LuthierError where nothing could be read."""
    blobs = Blobs(settings.blobs_folder.absolute(), settings.disk_reserve_mb)
    try:
        with database.write() as connection:
            user, one = _begun(connection, arguments)
        with show.moving_bar(out, f"Importing {arguments.data}") as progress:
            place = Place(database, blobs, settings, user)
            with _ended_in_any_case(database, one), _data(arguments.data, settings) as data:
                bring_in(replace(place, progress=partial(_moved, progress, data)), one, data)
        with database.read() as connection:
            return imports.by_seq(connection, one.seq) or one, _rejected(connection, one)
    finally:
        blobs.close()


@contextmanager
def _data(given: Path, settings: Settings) -> Iterator[Path]:
    """What is to be read; an archive is unpacked beside the database, where there is room."""
    if given.is_dir() or not _is_archive(given):
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory(prefix=IMPORTING, dir=settings.data_dir) as folder:
        yield unpacked(given, given.name, Path(folder), settings, lambda: None)


def _moved(progress: Callable[[int, int], None], data: Path, done: int, total: int) -> None:
    """A folder of ours that shows life is left alone by housekeeping."""
    progress(done, total)
    if data.parent.name.startswith(IMPORTING):
        os.utime(data.parent)


def _is_archive(file: Path) -> bool:
    with file.open("rb") as opened_file:
        return archives.is_archive(opened_file.read(512))


@contextmanager
def _ended_in_any_case(database: Database, one: Import) -> Iterator[None]:
    """So that nobody waits for an import whose command was stopped. kill -9 is noticed by housekeeping."""
    end: Callable[[Connection], None] = partial(imports.cancelled, seq=one.seq, details="the command was stopped")
    try:
        yield
        end = partial(imports.done, seq=one.seq)
    except Interrupted:
        pass  # cancelled over the wire
    except LuthierError as error:
        end = partial(imports.failed, seq=one.seq, details=error.details)
        raise
    finally:
        with database.write() as connection:
            end(connection)


def _begun(connection: Connection, arguments: Arguments) -> tuple[str, Import]:
    """User id, and the import in state running. Raises DoesNotExist for what is not there and not to be made."""
    user_id = _user(connection, arguments.user)
    app = _app(connection, user_id, arguments)
    known = datasets.seqs(connection, app, set(arguments.datasets))
    missing = [id for id in arguments.datasets if id not in known]
    if missing and not arguments.create:
        raise DoesNotExist(f"--dataset {shown(missing[0])}: app {arguments.app} has no such dataset; --create makes it")
    if missing:
        new = [(plain_id(id, "--dataset"), b"") for id in dict.fromkeys(missing)]
        resources.add(connection, tables.datasets, app, new)
    job = inputs.input_job(connection, app, new_id())
    one = imports.add(connection, app, new_id(), job.seq, None, arguments.request)
    imports.begin(connection, one.seq)
    return user_id, one


def _user(connection: Connection, wanted: str | None) -> str:
    known = accounts.ids(connection)
    if wanted is None and len(known) == 1:
        return known[0]
    if wanted is None and known:
        raise InvalidRequest(f"--user is missing and there are several: {', '.join(known[:20])}")
    if wanted not in known:
        raise DoesNotExist(f"--user {shown(wanted or '')}: there is no such user; `luthier token create` makes one")
    return str(wanted)


def _app(connection: Connection, user_id: str, arguments: Arguments) -> int:
    found = resources.find_app(connection, user_id, arguments.app)
    if found:
        return found.seq
    if not arguments.create:
        raise DoesNotExist(f"--app {shown(arguments.app)}: user {user_id} has no such app; --create makes it")
    user = accounts.find(connection, user_id)
    new = [(plain_id(arguments.app, "--app"), b"")]
    return resources.add(connection, tables.apps, user or 0, new)[0].seq


def _rejected(connection: Connection, one: Import) -> list[Item]:
    found: list[Item] = []
    while len(page := imports.items(connection, [one.seq], len(found), PAGE, rejected_only=True)) == PAGE:
        found += page
    return found + page


def _tell(out: Console, arguments: Arguments, one: Import, rejected: Sequence[Item]) -> None:
    there = f", {one.present} there already" if one.present else ""
    out.print(f"{arguments.data}: {one.total} items, {one.made} new inputs{there}", markup=False)
    show.show_rejected(out, [(item.name, item.details) for item in rejected])
    if one.status == imports.Status.CANCELLED:
        out.print(f"Cancelled: {one.details}", style="yellow", markup=False)


def _as_dict(arguments: Arguments, one: Import, rejected: Sequence[Item]) -> dict[str, Any]:
    listed = [{"name": item.name, "status": item.status, "details": item.details} for item in rejected]
    counts = {name: getattr(one, name) for name in ("total", "made", "present", "rejected")}
    return {"app": arguments.app, "job": one.id, **counts, "items": listed}


def _exit_status(one: Import) -> int:
    """An import of which nothing came has failed."""
    if one.status == imports.Status.CANCELLED:
        return INTERRUPTED
    return 0 if one.made + one.present else FAILED
