"""`luthier doctor`: is this machine fit? What it looks at stands in `doctor_checks`."""

import json
from dataclasses import asdict

import click

from luthier.commands.command_line import FAILED, Options
from luthier.commands.doctor_checks import Finding, Verdict, findings

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON list, for programs.")
@click.pass_obj
def command(options: Options, as_json: bool) -> int:
    """Check this machine: Python, torch, devices, bf16, weights, disk, file system, addresses.

    Each finding has a verdict: ok, warn (works, but slower or not for everything) or fail, and what to do about it.
    The exit status is 1 where one fails.
    """
    found: list[Finding] = []
    for finding in findings(options.settings()):
        found.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    return FAILED if any(finding.verdict is Verdict.FAIL for finding in found) else 0


def _show(finding: Finding) -> None:
    click.echo(
        f"{click.style(f'{finding.verdict:<4}', fg=_COLOURS[finding.verdict])}  {finding.subject}: {finding.says}"
    )
    if finding.remedy:
        click.echo(f"      → {finding.remedy}")
