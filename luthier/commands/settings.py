"""`luthier settings`: every setting, its value and where that came from. The list is in luthier/settings.py."""

import json
from dataclasses import asdict

import click

from luthier.commands.command_line import Options
from luthier.settings import SettingRow, describe


@click.command("settings")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.pass_obj
def command(options: Options, as_json: bool) -> None:
    """Every setting, its value and where that came from.

    A setting is read from its environment variable, else from the TOML file (there by its name in small letters:
    data_dir = "/srv/luthier"), else it has its default.
    """
    rows = describe(file=options.settings_file)
    if as_json:
        click.echo(json.dumps([asdict(row) | {"value": _plain(row.value)} for row in rows], indent=2))
        return
    for row in rows:
        click.echo(f"{click.style(f'{row.variable}={_shown(row)}', bold=True)}  ({_source(row)})")
        click.echo(f"    {row.help}" + (f" [{row.unit}]" if row.unit else ""))


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | float | str | None) else str(value)


def _shown(row: SettingRow) -> str:
    if isinstance(row.value, bool):
        return str(row.value).lower()
    return "" if row.value is None else str(row.value)


def _source(row: SettingRow) -> str:
    return {"default": "default", "file": "from the settings file"}.get(row.source, "from the environment")
