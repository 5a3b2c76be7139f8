"""What `luthier` can do, by section, and how errors end. A command's file is imported only when it is asked for.

A new command is a row in `SECTIONS` and a file with a click command called `command`.
"""

import difflib
import importlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from luthier import __version__
from luthier.errors import InvalidSettings, LuthierError, PredictionFailed, TrainingFailed
from luthier.settings import Settings, load

FAILED = 1  # it was tried and did not work
NOT_AS_ASKED = 2  # what was asked for cannot be done as asked
INTERRUPTED = 130


@dataclass(frozen=True)
class Entry:
    name: str
    module: str
    summary: str


SECTIONS: dict[str, tuple[Entry, ...]] = {
    "Train and predict here, without a server": (
        Entry("train", "luthier.commands.train", "Fine-tune a model on a folder of labelled pictures."),
        Entry("predict", "luthier.commands.predict", "Ask a trained model about pictures."),
        Entry("adapter", "luthier.commands.adapter", "Write a language model's adapter for use without Luthier."),
        Entry("chat", "luthier.commands.chat", "Talk to a trained text generator."),
        Entry("templates", "luthier.commands.templates", "What can be trained, and every hyperparameter of it."),
        Entry("weights", "luthier.commands.weights", "Which pre-trained weights are here; add or fetch some."),
    ),
    "Bring data in": (
        Entry("import", "luthier.commands.import_data", "Make inputs of an app out of a folder, table or archive."),
    ),
    "Run the platform": (
        Entry("serve", "luthier.commands.serve", "Start everything: API, worker and predictors."),
        Entry("worker", "luthier.commands.worker", "Start one more worker on the same data folder."),
        Entry("predictors", "luthier.commands.predictors", "Start the process that keeps models loaded."),
        Entry("token", "luthier.commands.token", "Make, list and revoke access tokens."),
        Entry("migrate", "luthier.commands.migrate", "Bring the database to this version's tables."),
    ),
    "Look after this machine": (
        Entry("doctor", "luthier.commands.doctor", "Check torch, devices, weights, disk and file system."),
        Entry("settings", "luthier.commands.settings", "Every setting, its value and where that came from."),
    ),
}

HIDDEN = (Entry("api", "luthier.commands.api", "The API process that serve starts."),)

EXAMPLES = """\
  luthier train --data pictures/ --template luthier_tiny_resnet --set num_epochs=3
  luthier predict --model runs/luthier_tiny_resnet-20260101-120000 cat.jpg dog.jpg
  luthier serve"""


@dataclass(frozen=True)
class Options:
    """What stands before the command's name."""

    settings_file: Path | None = None
    debug: bool = False

    def settings(self) -> Settings:
        return load(file=self.settings_file)


class Sections(click.Group):
    """A group whose help is sorted for a reader and whose commands are imported only when used."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [entry.name for entries in SECTIONS.values() for entry in entries]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        entry = _entries().get(name)
        return importlib.import_module(entry.module).command if entry else None

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if name not in _entries() and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(context), n=1)
            hint = f"did you mean {near[0]}?" if near else "`luthier --help` lists them all."
            raise click.UsageError(f"There is no command {name!r}; {hint}")
        return super().resolve_command(context, arguments)

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands first, sorted by what a reader wants to do; then examples, then what stands before a command."""
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(entry.name, entry.summary) for entry in entries])
        with formatter.section("Examples"):
            formatter.write(EXAMPLES + "\n")
        click.Command.format_options(self, context, formatter)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write_text("`luthier COMMAND --help` says more about each command.")


def _entries() -> dict[str, Entry]:
    return {entry.name: entry for entry in (*HIDDEN, *(e for entries in SECTIONS.values() for e in entries))}


@click.group(
    cls=Sections,
    help="Luthier fine-tunes pre-trained models on your own data, on your own machine.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(path_type=Path),
    help="TOML file of settings; else the one that LUTHIER_SETTINGS names, else luthier.toml here.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, "-V", "--version", message="luthier %(version)s")
@click.pass_context
def luthier(context: click.Context, settings_file: Path | None, debug: bool) -> None:
    context.obj = Options(settings_file, debug)


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status. An error is one line on stderr; a traceback only with --debug."""
    try:
        status = luthier.main(args=list(arguments), prog_name="luthier", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except LuthierError as error:
        return _failed(arguments, said(error), exit_status(error))
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone, `| head` for one; nothing is left to say
        return FAILED
    except OSError as error:
        return _failed(arguments, _os_error(error), FAILED)


def said(error: LuthierError) -> str:
    """The error in the words of the command line, where a template and its hyperparameters are options."""
    text = str(error).replace("train_info.params.template", "--template")
    return text.replace("invalid_data_tolerance_percent", "--invalid-data-tolerance-percent").replace(
        "train_info.params.", "--set "
    )


def exit_status(error: LuthierError) -> int:
    if isinstance(error, TrainingFailed | PredictionFailed):
        return FAILED
    return NOT_AS_ASKED if error.http_status < 500 or isinstance(error, InvalidSettings) else FAILED


def _os_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return where + (error.strerror or str(error))


def _failed(arguments: Sequence[str], message: str, status: int) -> int:
    if "--debug" in arguments:
        traceback.print_exc()
    click.echo(f"luthier: {message}", err=True)
    return status
