"""`luthier worker`: takes jobs from the queue. What the jobs are is in luthier/worker."""

from collections.abc import Callable

import click

from luthier.api import access_log
from luthier.commands.command_line import Options
from luthier.commands.data_folder import opened
from luthier.commands.lifeline import as_process


@click.command("worker")
@click.option("--owner", default="", hidden=True, help="The name that its jobs know it by.")
@click.pass_obj
@as_process
def command(options: Options, /, owner: str, on_ready: Callable[[], None]) -> int:
    """Start a worker: it checks uploads, freezes datasets and trains models.

    `luthier serve` starts one; each further one on the same data folder trains one more model at a time. They share
    the queue and never run a job twice. SIGTERM lets a running training save where it stands and gives it back.
    """
    from luthier.worker import loop

    settings = options.settings()
    with opened(settings):
        on_ready()
    access_log.configure(settings.log_format)
    return loop.run(settings, owner)
