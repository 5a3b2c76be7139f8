"""`luthier predictors`: the process that keeps trained models loaded. What it does is in luthier/predictors."""

from collections.abc import Callable

import click

from luthier.api import access_log
from luthier.commands.command_line import Options
from luthier.commands.lifeline import as_process


@click.command("predictors")
@click.pass_obj
@as_process
def command(options: Options, /, on_ready: Callable[[], None]) -> None:
    """Start the process that keeps the most recently used models loaded and answers predictions.

    `luthier serve` starts it; alone it is for those who let something else look after processes. SIGTERM ends it.
    """
    from luthier.predictors import server

    settings = options.settings()
    access_log.configure(settings.log_format)
    server.run(settings, on_ready)
