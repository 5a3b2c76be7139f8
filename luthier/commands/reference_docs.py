"""Writes docs/reference/ from the catalog, the settings and the calls: `python -m luthier.commands.reference_docs`.

A test writes the pages anew and compares, so that they cannot fall behind the code.
"""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from luthier.catalog import model_type as catalog
from luthier.catalog import strategies
from luthier.catalog.hyperparameters import Hyperparameter
from luthier.catalog.json_object import JsonObject
from luthier.catalog.model_type import Field, ModelType
from luthier.catalog.template import Template
from luthier.commands.reference_rpcs import rpcs_page
from luthier.settings import describe

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
NOTE = "<!-- Written by `python -m luthier.commands.reference_docs` (make docs). Changes by hand are lost. -->\n"


def pages() -> dict[str, str]:
    """File names in docs/reference and what stands in them."""
    return {"templates.md": templates_page(), "settings.md": settings_page(), "rpcs.md": rpcs_page(NOTE)}


def templates_page() -> str:
    templates = catalog.all_templates()
    parts = [
        NOTE,
        "# Model types and templates\n",
        "A model type says what goes in and what comes out; a template says how a model of it is trained. Values go "
        "into `train_info.params` of a model version, or behind `--set` of `luthier train`.\n",
        f"There are {len(templates)} templates. Internal ones are for clients that know their names; forms leave them "
        "out.\n",
        _table(("Template", "Starts from", "What it is"), ([_link(t), _start(t), t.description] for t in templates)),
    ]
    parts += _strategies(templates)
    for declared in catalog.all_model_types():
        parts.append(_model_type(declared))
        parts += [_template(template) for template in catalog.templates_of(declared.id)]
    return "\n".join(parts)


def settings_page() -> str:
    rows = (
        [f"`{row.variable}`", f"`{row.name}`", _default(row.value), _escaped(row.help), row.unit]
        for row in describe({}, Path(os.devnull))
    )
    text = (
        "Each setting is read from its environment variable, else from one TOML file under its name: the file that "
        "`LUTHIER_SETTINGS` names, else `luthier.toml` in the working directory. `luthier settings` shows the values "
        "in force and where each came from.\n"
    )
    heads = ("Variable", "Name in the file", "Default", "What it is", "Unit")
    return "\n".join([NOTE, "# Settings\n", text, _table(heads, rows)])


# -- model types and templates -----------------------------------------------------------------------------------------


def _model_type(declared: ModelType) -> str:
    parts = [
        f"## {declared.id}\n",
        f"{declared.description}: {_codes(declared.input_fields)} to {_codes(declared.output_fields)}.\n",
    ]
    if declared.fields:
        parts.append(_table(("Field", "Type", "Default", "What it is"), map(_field, declared.fields)))
    return "\n".join(parts)


def _field(field: Field) -> list[str]:
    bounds = f" {field.min:g} to {field.max:g}" if field.min is not None and field.max is not None else ""
    options = f": {', '.join(field.options)}" if field.options else ""
    needed = " (required)" if field.required else ""
    return [f"`{field.path}`", field.kind + bounds + options, _default(field.default), field.description + needed]


def _template(template: Template) -> str:
    marks = [word for word, holds in (("recommended", template.recommended), ("internal", template.internal)) if holds]
    facts = [f"{template.parameters_m:g} million parameters", f"{template.gflops:g} GFLOPs for one input"]
    if template.aliases:
        facts.insert(0, f"also called {', '.join(template.aliases)}")
    own = template.hyperparameters[: len(template.hyperparameters) - len(strategies.of(template))]
    return "\n".join(
        [
            _heading(template, marks),
            f"{template.description} ({'; '.join(facts)}).",
            f"\nStarts from {_start(template)}.\n",
            _table(("Hyperparameter", "Type", "Default", "Allowed", "What it does"), map(_row, own)),
            _defaults_of_strategies(template),
        ]
    )


def _strategies(templates: Sequence[Template]) -> list[str]:
    declared = {one.name: one for template in reversed(templates) for one in strategies.of(template)}
    ordered = [declared[name] for name in strategies.names() if name in declared]
    rows = (
        [
            f"`{one.name}`",
            one.kind,
            "see the template" if one.name in strategies.differing() else _escaped(one.allowed()),
            _escaped(one.description),
        ]
        for one in ordered
    )
    return [
        "## Strategies\n",
        "Hyperparameters that many templates have beside their own. Left alone they change nothing: their defaults, "
        "which stand with each template, are what it does anyway.\n",
        _table(("Hyperparameter", "Type", "Allowed", "What it does"), rows),
    ]


def _defaults_of_strategies(template: Template) -> str:
    shown = ", ".join(
        f"`{one.name}` {json.dumps(one.default)}"
        + (f" ({one.allowed()})" if one.name in strategies.differing() else "")
        for one in strategies.of(template)
    )
    return f"[Strategies](#strategies): {shown}.\n" if shown else ""


def _heading(template: Template, marks: Sequence[str]) -> str:
    return f"### {template.id}" + (f" ({', '.join(marks)})" if marks else "") + "\n"


def _row(parameter: Hyperparameter) -> list[str]:
    if isinstance(parameter.default, str) and "\n" in parameter.default:
        default = "a configuration to begin with"
    else:
        default = _default(parameter.default)
    return [
        f"`{parameter.name}`",
        parameter.kind,
        default,
        _allowed(parameter),
        _escaped(parameter.description),
    ]


def _allowed(parameter: Hyperparameter) -> str:
    """Of an object whose keys are known, a line for each."""
    if not isinstance(parameter, JsonObject):
        return _escaped(parameter.allowed())
    return "<br>".join(f"`{key.name}`: {_escaped(key.allowed())}" for key in parameter.all_keys())


def _link(template: Template) -> str:
    mark = ", recommended" if template.recommended else ", internal" if template.internal else ""
    return f"`{template.id}`{mark}"


def _start(template: Template) -> str:
    weights = template.weights(template.defaults())
    return f"`{weights}`" if weights else "random weights"


# -- markdown ----------------------------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _default(value: object) -> str:
    if value is None:
        return ""
    return f"`{_escaped(str(value) if isinstance(value, Path) else json.dumps(value, ensure_ascii=False))}`"


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"wrote docs/reference/{name}")


if __name__ == "__main__":
    main()
