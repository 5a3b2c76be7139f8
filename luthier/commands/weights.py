"""`luthier weights list|add|pull`: the pre-trained weights on this machine, kept by luthier/catalog/weights."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from luthier.catalog import weights
from luthier.commands.command_line import Options
from luthier.commands.templates import wide_console
from luthier.worker.weights_pull import pull as pull_from_hub


@click.group("weights")
def command() -> None:
    """Which pre-trained weights are here; add or fetch some.

    They lie in the weights folder (LUTHIER_WEIGHTS_DIR, else weights/ in the data folder), each in a folder of its
    name: model.safetensors, the small files beside it, and weights.json with the SHA-256.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.pass_obj
def list_weights(options: Options, as_json: bool) -> None:
    """Every name that a template starts from, and whether it is here."""
    rows = weights.status(options.settings().weights_folder)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    out = wide_console()
    table = Table(box=None, pad_edge=False)
    for column in ("", "weights", "templates that start from them"):
        table.add_column(column, overflow="fold")
    for row in rows:
        absent = "missing" if row.on_hub else "missing, add your own"
        table.add_row("here" if row.here else absent, row.name, ", ".join(row.templates))
    out.print(table)
    click.echo("\n`luthier weights pull NAME` fetches one from the hub, `luthier weights add NAME PATH` copies a file.")


@command.command("add")
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The last line is what was recorded, as one JSON object.")
@click.pass_obj
def add(options: Options, name: str, path: Path, as_json: bool) -> None:
    """Copy weights into the weights folder.

    PATH is a .safetensors file or a folder as the Hugging Face hub has it. Shapes are compared with the network of that
    name where a template uses one; files that can run code (.bin, .pt, pickles) are refused.

    \b
    luthier weights add timm/resnet50.a1_in1k ~/Downloads/model.safetensors
    """
    with _bar("copying") as progress:
        added = weights.add(options.settings().weights_folder, name, path, progress=progress)
    _tell(added, options.settings().weights_folder, as_json)


@command.command("pull")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The last line is what was recorded, as one JSON object.")
@click.pass_obj
def pull(options: Options, name: str, as_json: bool) -> None:
    """Fetch weights from the Hugging Face hub: model.safetensors and the small files beside it that Luthier
    reads, nothing else.

    HF_TOKEN is the hub's token for models that ask for one. With LUTHIER_OFFLINE nothing is fetched.

    \b
    luthier weights pull timm/resnet50.a1_in1k
    """
    settings = options.settings()
    with _bar("fetching") as progress:
        added = pull_from_hub(settings.weights_folder, name, offline=settings.offline, progress=progress)
    _tell(added, settings.weights_folder, as_json)


def _tell(added: weights.AddedWeights, folder: Path, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(asdict(added)))
        return
    click.echo(f"{added.name}: {added.tensors} tensors, {added.bytes / 1e6:.1f} MB, SHA-256 {added.sha256}")
    click.echo(f"in {weights.folder(folder, added.name)}")


@contextmanager
def _bar(title: str) -> Iterator[weights.Progress]:
    """A progress bar on stderr that goes away when the work is done; none where stderr is no terminal."""
    out = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=out, disable=not out.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)

        def progress(done: int, size: int) -> None:
            now = "comparing with the network" if size and done >= size else title
            bar.update(task, completed=done, total=size or None, description=now)

        yield progress
