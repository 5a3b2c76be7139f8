"""`luthier train`: labelled pictures or texts -> a run folder, without a server. The same engine as the platform's.

readers -> check -> catalog -> runs.prepare -> runs.launch, in `train_new`; then `follow` shows what the engine says.
"""

import json
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console

from luthier.catalog.text_preparation import TextPreparation
from luthier.catalog.weights import assets
from luthier.commands import train_output as show
from luthier.commands.command_line import INTERRUPTED, Options
from luthier.commands.durations import spell
from luthier.commands.train_data import read_data
from luthier.commands.train_request import (
    TrainRequest,
    best_of,
    have_weights,
    make_request,
    make_spec,
    parent_of,
    parse_preparation,
)
from luthier.data import check
from luthier.data.anomalies import held_out
from luthier.data.readers.found import ReadResult
from luthier.data.replay import Unseen, with_replay
from luthier.errors import InvalidRequest, TrainingFailed
from luthier.runs import launch
from luthier.runs.events import Event, Failed, Finished, Stopped
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder
from luthier.settings import Settings

STOP_SECONDS = 10.0  # the engine saves where it stands before it ends
METRICS = {  # of the test split, by model type: what --json ends with
    "visual-classifier": ("accuracy", "macro_f1"),
    "visual-detector": ("map", "map50"),
    "visual-segmenter": ("miou", "dice"),
    "visual-embedder": ("recall_at_1", "recall_at_5", "map_at_r"),
    "visual-anomaly-heatmap": ("image_auroc", "pixel_auroc", "pro"),
    "text-classifier": ("accuracy", "macro_f1"),
    "text-to-text": ("perplexity", "exact_match"),
    "embedding-classifier": ("accuracy", "macro_f1"),
    "clusterer": ("distance", "silhouette"),
}


@dataclass(frozen=True)
class Arguments:
    """The command line of a new run."""

    data: Path
    template: str
    assignments: tuple[str, ...] = ()
    test_data: Path | None = None
    out: Path | None = None
    weights_dir: Path | None = None
    seed: int | None = None
    threads: int = 0
    device: str = "auto"
    exclusive: bool | None = None
    tolerance: float = 5.0
    columns: tuple[str, ...] = ()
    prepare_text: tuple[str, ...] = ()
    start_from: Path | None = None
    replay_percent: float = 0.0
    model_type: str = ""


@dataclass
class Outcome:
    """How a run ended: at most one of the three is set; none where the engine died without a word."""

    finished: Finished | None = None
    failed: Failed | None = None
    stopped: Stopped | None = None


@click.command("train")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="DATA", help="Pictures, one sub-folder per class; or a CSV."
)
@click.option("--template", metavar="NAME", help="What to train; `luthier templates` lists them.")
@click.option(
    "--model-type", default="", metavar="TYPE", help="Where templates of several types share a name: text-to-text."
)
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A hyperparameter; may be repeated.")
@click.option(
    "--test-data", type=click.Path(path_type=Path), metavar="FOLDER", help="Other pictures to judge the model on."
)
@click.option("--columns", multiple=True, metavar="NAME=COLUMN", help="A CSV's own column name: --columns image=file.")
@click.option(
    "--prepare-text",
    multiple=True,
    metavar="NAME=VALUE",
    help="unicode, whitespace, lower_case, stop_words, stemming, missing, fill: what is done to texts first.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="RUN", help="Run folder; else runs/TEMPLATE-TIME.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with a run that was stopped.")
@click.option(
    "--start-from", type=click.Path(path_type=Path), metavar="RUN", help="Learn on from the weights of this run."
)
@click.option(
    "--replay-percent",
    type=click.FloatRange(0, 100),
    default=0.0,
    metavar="PERCENT",
    help="With --start-from: share of that run's training data that is mixed in, so that less is forgotten.",
)
@click.option(
    "--concepts-mutually-exclusive/--concepts-independent",
    "exclusive",
    default=None,
    help="One class per picture (softmax), or each class by itself (sigmoid). Softmax unless told otherwise.",
)
@click.option("--seed", type=click.IntRange(-1, 2**31 - 1), help="Random seed; the same seed gives the same model.")
@click.option("--threads", type=click.IntRange(0), default=0, help="Processor threads; 0 means all cores.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@click.option("--weights-dir", type=click.Path(path_type=Path), metavar="FOLDER", help="Where pre-trained weights are.")
@click.option(
    "--invalid-data-tolerance-percent",
    "tolerance",
    type=click.FloatRange(0, 100),
    default=5.0,
    show_default=True,
    metavar="PERCENT",
    help="Share of unreadable inputs above which nothing is trained.",
)
@click.option("--json", "as_json", is_flag=True, help="The last line of stdout is the result as JSON.")
@click.pass_obj
def command(options: Options, /, resume: Path | None, as_json: bool, **given: Any) -> int:
    """Fine-tune a model on labelled pictures or texts. No server and no database are needed.

    DATA is a folder with one sub-folder per class. Where it holds train, val and test, those are the splits (each
    with one sub-folder per class); else the pictures are split 80/10/10. Or DATA is a CSV or TSV file with the
    columns image,label (and split), the pictures beside it. Detectors take COCO, YOLO and Pascal VOC; text
    classifiers a CSV or TSV with the columns text,label, or JSON lines. Text generators take JSON lines with messages,
    conversations, instruction and output, prompt and completion, or text.

    \b
    luthier train --data pictures/ --template luthier_tiny_resnet
    luthier train --data pictures/labels.csv --template luthier_tiny_resnet --columns image=file
    luthier train --data coco/annotations.json --template luthier_tiny_detector
    luthier train --data mails.tsv --template luthier_minilm --columns text=subject --columns label=folder
    luthier train --data pictures/ --template MMClassification_ResNet_50_RSB_A1 --set num_epochs=20 --set batch_size=32
    luthier train --resume runs/luthier_tiny_resnet-20260101-120000
    luthier train --data chats.jsonl --model-type text-to-text --template HF_GPTNeo_125m_lora
    luthier train --data new/ --template luthier_tiny_resnet --start-from runs/pictures --replay-percent 20

    Ctrl-C stops with a checkpoint; --resume goes on from it.
    """
    out = show.console(to_stderr=as_json)
    if resume:
        _refuse_beside_resume(click.get_current_context())
        run = _stopped_run(resume)
    else:
        arguments = _arguments(given)
        run = prepare_new(arguments, options.settings(), out)
    outcome = follow(run, out)
    return conclude(run, outcome, out, as_json)


def _arguments(given: dict[str, Any]) -> Arguments:
    for name in ("data", "template"):
        if not given[name]:
            raise click.UsageError(f"--{name} is missing; see `luthier train --help`")
    return Arguments(**given)


def _refuse_beside_resume(context: click.Context) -> None:
    """A run goes on as it stands in its run.json; --json alone is about something else."""
    names = []
    for option in context.command.params:
        name = str(option.name)
        if name in ("resume", "as_json") or context.get_parameter_source(name) is not ParameterSource.COMMANDLINE:
            continue
        names.append((option.secondary_opts if context.params[name] is False else option.opts)[0])
    if names:
        raise click.UsageError(
            f"--resume goes on with the run as it was begun; {', '.join(names)} cannot be changed, leave it out"
        )


def _stopped_run(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    if not run.spec_file.exists():
        raise InvalidRequest(f"--resume {folder}: there is no run in this folder (it holds no run.json)")
    if run.report_file.exists():
        ended = f"this run has ended; to use it: luthier predict --model {quote(str(folder))} FILE…"
        raise InvalidRequest(f"--resume {folder}: {ended}")
    return run


def prepare_new(arguments: Arguments, settings: Settings, out: Console) -> RunFolder:
    """Reads and checks the data, says what it read, and writes the run folder. The template is checked first."""
    request = make_request(
        arguments.template,
        arguments.assignments,
        exclusive=arguments.exclusive,
        seed=arguments.seed,
        model_type=arguments.model_type,
    )
    preparation = parse_preparation(arguments.prepare_text, request)
    weights_folder = arguments.weights_dir or settings.weights_folder
    parent = parent_of(arguments.start_from, arguments.replay_percent, request)
    folder = _run_folder(arguments.out, request.template.id)
    with show.moving_bar(out, f"Fetching {request.weights}", bool(request.weights)) as progress:
        fetched = parent is None and have_weights(request, weights_folder, settings.offline, progress)
    read = _read(arguments, request, preparation, settings, out)
    read.examples = _unseen(read.examples, parent, out)
    _check(read, request, arguments.tolerance, out)
    _say_what_is_trained(out, request, folder, fetched, parent)
    spec = make_spec(
        request,
        run=folder.name,
        concepts=read.concepts,
        settings=settings,
        weights_folder=weights_folder,
        device=arguments.device,
        threads=arguments.threads,
        tolerance=arguments.tolerance,
        parent=parent,
        preparation=preparation,
    )
    if parent is not None:
        spec = replace(spec, resume_from=str(best_of(parent)), replay_percent=arguments.replay_percent)
        examples = with_replay(read.examples, parent.manifest_file, spec.replay_percent, spec.seed, _is_there)
        return prepare(folder, spec, examples, sorted(parent.assets.glob("*")))
    beside = assets(weights_folder, request.weights) if request.of_texts else []
    return prepare(folder, spec, read.examples, beside)


def _read(
    arguments: Arguments, request: TrainRequest, preparation: TextPreparation, settings: Settings, out: Console
) -> ReadResult:
    """The examples to train on, and on the console what they are and what was rejected."""
    with show.moving_bar(out, f"Reading {arguments.data}") as progress:
        read = read_data(
            arguments.data,
            arguments.test_data,
            arguments.columns,
            settings,
            progress,
            learns=request.learns,
            labelled=request.labelled,
            preparation=preparation,
        )
    good = request.good(read.concepts)
    if good is not None:
        read.examples = [*held_out(read.examples, good)]
    usable = sum(not example.invalid for example in read.examples)
    things = "texts" if request.of_texts else "pictures"
    classes = f", {len(read.concepts)} classes" if request.labelled else ""
    out.print(f"Read {arguments.data}: {usable} {things}{classes}", markup=False)
    show.show_counts(out, read.examples, read.concepts, regions=request.regions)
    show.show_rejected(out, [(rejected.path, rejected.reason) for rejected in read.rejected])
    for note in read.notes:
        out.print(note, markup=False)
    return read


def _unseen(examples: Sequence[Example], parent: RunFolder | None, out: Console) -> list[Example]:
    """Without what `parent` has learnt from and this training would be judged on."""
    unseen = Unseen(parent)
    kept = [*unseen.of(examples)]
    if unseen.note:
        out.print(f"Note: {unseen.note}.", style="yellow", markup=False)
    return kept


def _check(read: ReadResult, request: TrainRequest, tolerance: float, out: Console) -> None:
    """Raises what keeps this data from being trained on; warnings go to the console."""
    good = request.good(read.concepts)
    report = check.check_examples(
        read.examples,
        [concept for concept in read.concepts if good is None or concept.id in good],
        tolerance,
        mutually_exclusive=request.exclusive,
        batch_size=request.template.plan_for(request.values).batch_size,
        regions=request.regions,
        one_enough=good is not None,
        labelled=request.labelled,
    )
    for warning in report.warnings:
        out.print(f"Note: {warning}", style="yellow", markup=False)


def _is_there(example: Example) -> bool:
    return not example.path or Path(example.path).exists()


def _run_folder(out: Path | None, template: str) -> Path:
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", template)
    folder = out or Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest(
            f"--out {folder} is not an empty folder; name another, or go on with the run in it: "
            f"luthier train --resume {quote(str(folder))}"
        )
    return folder


def _say_what_is_trained(
    out: Console, request: TrainRequest, folder: Path, fetched: bool, parent: RunFolder | None
) -> None:
    if fetched:
        out.print(f"Fetched the pre-trained weights {request.weights}", markup=False)
    start = f"from {parent.path if parent else request.start}"
    out.print(f"\nTraining {request.template.id} {start}, seed {request.seed}, in {folder}", style="bold", markup=False)
    for note in (*request.notes, *request.template.plan_for(request.values).notes):
        out.print(note, markup=False)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def follow(run: RunFolder, out: Console) -> Outcome:
    """Starts the engine on the run and shows its events until it ends; Ctrl-C stops it with a checkpoint."""
    outcome = Outcome()
    with _terminated_as_interrupted(), show.TrainingProgress(out) as progress:
        engine = launch.start(run)
        try:
            for event in engine.events():
                progress.show(event)
                _note(outcome, event)
        except KeyboardInterrupt:
            out.print("Stopping; the state of the training is being saved …")
            engine.stop(grace_seconds=STOP_SECONDS)
            for event in engine.events():
                _note(outcome, event)
            outcome.stopped = outcome.stopped or Stopped(step=0, epoch=0, checkpoint="")
        except BaseException:
            engine.stop()
            raise
    return outcome


def _note(outcome: Outcome, event: Event) -> None:
    if isinstance(event, Finished):
        outcome.finished = event
    elif isinstance(event, Failed):
        outcome.failed = event
    elif isinstance(event, Stopped):
        outcome.stopped = event


def conclude(run: RunFolder, outcome: Outcome, out: Console, as_json: bool) -> int:
    """Says how the run ended and returns the exit status; raises TrainingFailed with cause and remedy."""
    if outcome.finished:
        _say_finished(run, outcome.finished, out)
        if as_json:
            click.echo(json.dumps(result(run, outcome.finished)))
        return 0
    if outcome.stopped:
        where = f" at step {outcome.stopped.step}" if outcome.stopped.step else " before the first checkpoint"
        out.print(
            f"Stopped{where}. To go on: luthier train --resume {quote(str(run.path))}", style="bold", markup=False
        )
        return INTERRUPTED
    if outcome.failed:
        raise TrainingFailed(f"{outcome.failed.details or outcome.failed.reason} (log: {run.log_file})")
    raise TrainingFailed(f"the engine ended without a result; the end of {run.log_file}:\n{_tail(run.log_file)}")


def _say_finished(run: RunFolder, finished: Finished, out: Console) -> None:
    early = ", stopped early because validation did not improve" if finished.stopped_early else ""
    out.print(
        f"Trained {finished.epochs} epochs in {spell(finished.seconds)}{early}: "
        f"{finished.samples_per_second:.0f} examples/s, {finished.peak_memory_mb:.0f} MB at most"
    )
    if finished.metrics:
        show.show_metrics(out, "Test split", finished.metrics)
    else:
        out.print(why_no_metrics(run.report(), METRICS[run.spec().model_type]))
    out.print(f"Run: {run.path}\nPredict: luthier predict --model {quote(str(run.path))} FILE…", markup=False)


def why_no_metrics(report: dict[str, Any], names: Sequence[str]) -> str:
    if report["judged_split"] != "test":
        return "There is no test split, so there are no test metrics."
    count, wanted = report["counts"]["examples"]["test"], ", ".join(names)
    return f"The test split holds {count} examples, too few to compute any of {wanted}. Label more of each concept."


def result(run: RunFolder, finished: Finished) -> dict[str, Any]:
    """The line that --json ends with; metrics are those of the test split, null where there is none."""
    return {
        "run": str(run.path),
        "template": run.spec().template,
        "metrics": {name: finished.metrics.get(name) for name in METRICS[run.spec().model_type]},
        "seconds": finished.seconds,
        "samples_per_second": finished.samples_per_second,
        "peak_memory_mb": finished.peak_memory_mb,
    }


def _tail(file: Path, lines: int = 15) -> str:
    if not file.exists():
        return "(there is none)"
    return "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
