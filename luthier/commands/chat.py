"""`luthier chat`: talks to a text generator in the terminal; its answers appear as they are written."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from luthier.catalog.model_type import model_type
from luthier.commands.chat_process import ChatProcess
from luthier.commands.predict import trained_run
from luthier.errors import InvalidRequest
from luthier.runs.run import RunFolder

ANEW, BYE = "/new", "/bye"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
Turn = dict[str, str]  # role, content


@click.command("chat")
@click.option("--model", required=True, type=click.Path(path_type=Path), metavar="RUN", help="A run folder.")
@click.option("--system", default="", metavar="TEXT", help="What the model is to be told before the first turn.")
@click.option("--max-tokens", type=click.IntRange(1), default=512, show_default=True, help="The most of one answer.")
@click.option("--temperature", type=click.FloatRange(0, 5), default=0.7, show_default=True, help="0: no chance at all.")
@click.option(
    "--top-p", type=click.FloatRange(0, 1), default=0.95, show_default=True, help="Leaves unlikely words out."
)
@click.option("--top-k", type=click.IntRange(0), default=0, help="Only so many words to choose from; 0: all.")
@click.option("--stop", multiple=True, metavar="TEXT", help="An answer ends before this; may be repeated.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="The same seed, the same answers.")
def command(model: Path, system: str, **options: Any) -> int:
    """Talk to a trained text generator. Answers appear as they are written.

    RUN is the folder that `luthier train` wrote. /new begins a new conversation, /bye or Ctrl-D ends. A model that has
    learnt no conversations goes on from each line by itself.

    \b
    luthier chat --model runs/HF_GPTNeo_125m_lora-20260101-120000
    echo "Where is Oslo?" | luthier chat --model runs/chats --temperature 0
    """
    run = trained_run(model)
    _refuse_others(run)
    with ChatProcess(run.path) as process:
        out = Console(stderr=True)
        with out.status("Loading the model …") if out.is_terminal else nullcontext():
            process.wait_until_loaded()
        begun: list[Turn] = [{"role": "system", "content": system}] if system else []
        turns = list(begun)
        for text in _lines():
            if text == ANEW:
                turns = list(begun)
                continue
            asked = [*turns, {"role": "user", "content": text}]
            answer = _answered(process, json.dumps({"messages": asked}) if process.chats else text, options)
            if answer is not None:
                turns = [*asked, {"role": "assistant", "content": answer}]
    return 0


def _refuse_others(run: RunFolder) -> None:
    kind = run.spec().model_type
    if "text" not in model_type(kind).output_fields:
        raise InvalidRequest(
            f"--model {run.path} is a {kind}; only a text-to-text model can be talked to. Ask this one: luthier predict"
        )


def _lines() -> Iterator[str]:
    """What the user types, until the end; empty lines are left out."""
    terminal = sys.stdin.isatty()
    while True:
        if terminal:
            click.echo(click.style("> ", bold=True), nl=False)
        line = ""
        with suppress(EOFError):
            line = sys.stdin.readline()
        text = line.strip()
        if not line or text == BYE:
            return
        if text:
            yield text


def _answered(process: ChatProcess, text: str, options: dict[str, Any]) -> str | None:
    """Shows the answer as it comes and returns it, None where there was none."""
    pieces: list[str] = []
    for said in process.ask(text, options):
        if "piece" in said:
            pieces.append(said["piece"] if pieces else said["piece"].lstrip())
            click.echo(_printable(pieces[-1]), nl=False)
        elif "error" in said:
            click.echo(f"luthier: {said['error']}", err=True)
            return None
    click.echo()
    return "".join(pieces).rstrip()


def _printable(text: str) -> str:
    """A model may write what would drive the terminal."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
