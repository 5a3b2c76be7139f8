"""`luthier templates`: what can be trained, and every hyperparameter of it. The declarations are in luthier/catalog."""

import json
from dataclasses import fields
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from luthier.catalog import model_type as catalog
from luthier.catalog import strategies
from luthier.catalog.hyperparameters import Hyperparameter
from luthier.catalog.template import Template

BOUNDS = ("min", "max", "step", "multiple", "options", "known", "min_length", "max_length")
LONGEST_LINE = 400  # characters, of a table that goes to a file
LONGEST_DEFAULT = 44  # characters of a default in a table


@click.command("templates")
@click.argument("name", required=False)
@click.option("--model-type", metavar="ID", help="Only this model type's; two types may share a template's name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with NAME, else one JSON list, for programs.")
def command(name: str | None, model_type: str | None, as_json: bool) -> None:
    """What can be trained; with NAME, every hyperparameter of that template.

    \b
    luthier templates
    luthier templates luthier_tiny_resnet
    luthier train --data pictures/ --template luthier_tiny_resnet --set num_epochs=3
    """
    if name:
        found = catalog.find_template(model_type, name) if model_type else catalog.find_any_template(name)
        _echo_json(described(found)) if as_json else _show_one(wide_console(), found)
        return
    templates = catalog.templates_of(model_type) if model_type else catalog.all_templates()
    if as_json:
        _echo_json([described(template) for template in templates])
    else:
        _show_all(wide_console(), templates)


def described(template: Template) -> dict[str, Any]:
    """Everything that a template declares, ready for JSON. `weights` is what its defaults start from."""
    return {
        "id": template.id,
        "model_type": template.model_type,
        "description": template.description,
        "aliases": list(template.aliases),
        "recommended": template.recommended,
        "internal": template.internal,
        "backbone": template.backbone,
        "weights": template.weights(template.defaults()),
        "parameters_m": template.parameters_m,
        "gflops": template.gflops,
        "hyperparameters": [_parameter(parameter) for parameter in template.hyperparameters],
    }


def _parameter(parameter: Hyperparameter) -> dict[str, Any]:
    declared = {field.name for field in fields(parameter)}
    bounds = {name: getattr(parameter, name) for name in BOUNDS if name in declared}
    return {
        "name": parameter.name,
        "type": parameter.kind,
        "default": parameter.default,
        "allowed": parameter.allowed(),
        **{name: value for name, value in bounds.items() if value not in (None, ())},
        "internal": parameter.internal,
        "description": parameter.description,
    }


def _echo_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def wide_console() -> Console:
    """stdout; where it is no terminal, wide enough that a program finds each row on one line."""
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=LONGEST_LINE)


# -- for people --------------------------------------------------------------------------------------------------------


def _show_all(out: Console, templates: tuple[Template, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("template", "weights it starts from", "what it is"):
        table.add_column(column, overflow="fold")
    for template in templates:
        table.add_row(_marked(template), template.weights(template.defaults()) or "random", template.description)
    out.print(table)
    out.print("`luthier templates NAME` shows the hyperparameters of one.")


def _marked(template: Template) -> str:
    marks = [word for word, holds in (("recommended", template.recommended), ("internal", template.internal)) if holds]
    return template.id + (f" ({', '.join(marks)})" if marks else "")


def _show_one(out: Console, template: Template) -> None:
    out.print(f"{template.id} ({template.model_type})", style="bold", markup=False)
    out.print(template.description, markup=False)
    if template.aliases:
        out.print(f"Also called {', '.join(template.aliases)}.")
    out.print(f"Starts from: {template.weights(template.defaults()) or 'random weights'}")
    out.print(
        f"{template.parameters_m:g} million parameters, {template.gflops:g} GFLOPs for one input at the default size\n"
    )
    out.print(_hyperparameters(template))


def _hyperparameters(template: Template) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("hyperparameter", "default", "allowed", "what it does"):
        table.add_column(column, overflow="fold")
    shared = strategies.of(template)
    for place, parameter in enumerate(template.hyperparameters, len(shared) - len(template.hyperparameters)):
        if place == 0:
            table.add_row("", "", "", "")
            table.add_row("[bold]strategies[/]", "", "", "left alone, they change nothing", style="dim")
        table.add_row(parameter.name, shown_default(parameter), parameter.allowed(), parameter.description)
    return table


def shown_default(parameter: Hyperparameter) -> str:
    """The default as JSON, shortened where it is long."""
    if isinstance(parameter.default, str) and "\n" in parameter.default:
        return f"{len(parameter.default.splitlines())} lines"
    text = json.dumps(parameter.default, ensure_ascii=False)
    return text if len(text) <= LONGEST_DEFAULT else text[:LONGEST_DEFAULT] + "…"
