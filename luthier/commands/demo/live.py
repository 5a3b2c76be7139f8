"""What takes a while, as a client sees it: asks again and again, moves a bar, prints new lines of a log."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from luthier.commands.durations import spell

QUEUED, TRAINING = 21103, 21101
POLL_SECONDS = 0.4


def show_until(what: str, ask: Callable[[], tuple[float, bool]], seconds: float) -> None:
    """Moves a bar by what `ask` gives, (share done, whether it has ended); raises TimeoutError after `seconds`."""
    out, end = Console(highlight=False), time.monotonic() + seconds
    columns = (TextColumn(f"    {what}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        while time.monotonic() < end:
            share, ended = ask()
            if ended:
                return
            bar.update(task, completed=share)
            time.sleep(POLL_SECONDS / 2)
    raise TimeoutError(f"{what} took more than {seconds:.0f} s")


def show_training(get_version: Callable[[], Any], get_text: Callable[[str], str], seconds: float) -> Any:
    """The version when it has ended, well or not; raises TimeoutError after `seconds`."""
    out, shown, end = Console(highlight=False), 0, time.monotonic() + seconds
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[left]}"),
    )
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("waiting", total=100, left="")
        while time.monotonic() < end:
            version = get_version()
            shown = _print_log(out, version, get_text, shown)
            if version.status.code not in (QUEUED, TRAINING):
                return version
            name = "training" if version.status.code == TRAINING else "waiting"
            left = version.status.time_remaining
            percent = version.status.percent_completed
            bar.update(task, completed=percent, description=name, left=f"{spell(left)} left" if left else "")
            time.sleep(POLL_SECONDS)
    raise TimeoutError(f"the training did not end within {seconds:.0f} s")


def _print_log(out: Console, version: Any, get_text: Callable[[str], str], shown: int) -> int:
    """Prints what is new in the log; whole lines only. Returns how many characters have been shown."""
    if not version.train_log:
        return shown
    fresh = get_text(version.train_log)[shown:]
    whole = fresh[: fresh.rfind("\n") + 1]
    for line in whole.splitlines():
        out.print(f"    | {line}", markup=False, soft_wrap=True)
    return shown + len(whole)
