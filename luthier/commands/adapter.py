"""`luthier adapter`: what a language model has learnt, as files for plain peft and transformers."""

import subprocess
import sys
from pathlib import Path

import click

from luthier.commands.predict import trained_run
from luthier.errors import InvalidRequest
from luthier.predictors.model_process import SERVED


@click.command("adapter")
@click.option("--model", "model", required=True, type=click.Path(path_type=Path), metavar="RUN", help="A run folder.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="A folder that is not there."
)
@click.option("--merged", is_flag=True, help="The whole model, the adapter merged into its base model.")
def command(model: Path, out: Path, merged: bool) -> None:
    """Write the adapter of a language model for use without Luthier.

    RUN is the folder that `luthier train` wrote. FOLDER gets safetensors, JSON and the chat template: load it with
    peft.PeftModel.from_pretrained beside the base model, or, merged, with transformers alone.

    \b
    luthier adapter --model runs/mails --out mails-adapter
    luthier adapter --model runs/mails --out mails-model --merged
    """
    run = trained_run(model)
    module = [sys.executable, "-m", "luthier.engine.adapter_export", str(run.path), str(run.path / SERVED), str(out)]
    done = subprocess.run([*module, *(["--merged"] if merged else [])], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["the engine ended without a word"]
        raise InvalidRequest(lines[-1].partition(": ")[2] or lines[-1])
    click.echo(f"Wrote {out}: {', '.join(sorted(file.name for file in out.iterdir()))}")
