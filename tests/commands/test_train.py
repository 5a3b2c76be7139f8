"""`luthier train` and `luthier predict` on real handwritten digits: no server, no database."""

import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from luthier.commands import train
from luthier.commands.command_line import run
from luthier.commands.train_request import parse_assignments
from luthier.runs.manifest import read_manifest
from luthier.settings import load
from tests.commands.process_table import processes

QUICK = ["--template", "luthier_tiny_resnet", "--threads", "1"]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(
    digit_folder: Callable[[int], Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    """(run folder, the last line of stdout, what people read) of one quick training."""
    out = tmp_path_factory.mktemp("a_run") / "digits"
    arguments = ["--data", str(digit_folder(700)), "--out", str(out), "--set", "num_epochs=8", "--seed", "3", "--json"]
    answer = luthier("train", *QUICK, *arguments)
    assert answer.returncode == 0, answer.stderr
    return out, json.loads(answer.stdout.splitlines()[-1]), answer.stderr


def luthier(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", "luthier", *arguments], capture_output=True, text=True)


def test_train_learns_and_ends_with_its_result_as_json(trained: tuple[Path, dict[str, Any], str]) -> None:
    out, result, _ = trained
    assert set(result) == {"run", "template", "metrics", "seconds", "samples_per_second", "peak_memory_mb"}
    assert (result["run"], result["template"]) == (str(out), "luthier_tiny_resnet")
    assert set(result["metrics"]) == {"accuracy", "macro_f1"}
    assert result["metrics"]["accuracy"] >= 0.9
    assert 0 < result["seconds"] < 120
    assert result["samples_per_second"] > 0
    assert result["peak_memory_mb"] > 0
    report = json.loads((out / "report.json").read_text())
    assert report["metrics"]["test"]["accuracy"] == pytest.approx(result["metrics"]["accuracy"])


def test_train_says_what_it_read_and_how_it_went(trained: tuple[Path, dict[str, Any], str]) -> None:
    _, _, said = trained
    assert "700 pictures, 10 classes" in said
    rows = [line.split() for line in said.splitlines()]
    total = next(row for row in rows if row[:1] == ["all"])
    assert sum(map(int, total[1:])) == 700
    assert int(total[1]) == pytest.approx(560, abs=20)
    assert "mutually exclusive" in said
    assert "epoch 8" in said
    assert "Test split: " in said
    assert "luthier predict --model" in said


def test_the_run_holds_what_was_asked_for(trained: tuple[Path, dict[str, Any], str]) -> None:
    spec = json.loads((trained[0] / "run.json").read_text())
    assert spec["hyperparameters"]["num_epochs"] == 8
    assert spec["hyperparameters"]["concepts_mutually_exclusive"] is True
    assert spec["plan"]["mutually_exclusive"] is True
    assert (spec["seed"], spec["threads"]) == (3, 1)


def test_predict_names_the_digit_and_reports_bad_files(
    trained: tuple[Path, dict[str, Any], str], digits: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    unseen = digits[-20:]
    for number, (_, data) in enumerate(unseen):
        (tmp_path / f"{number:02}.png").write_bytes(data)
    (tmp_path / "zz.jpg").write_bytes(b"not a picture")
    answer = luthier("predict", "--model", str(trained[0]), str(tmp_path), "missing.png", "--json", "--top", "2")
    assert answer.returncode == 1
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(rows) == 22
    right = sum(row["concepts"][0]["name"] == label for row, (label, _) in zip(rows, unseen, strict=False))
    assert right >= 16
    assert all(len(row["concepts"]) == 2 for row in rows[:20])
    assert rows[20]["file"].endswith("zz.jpg")
    assert rows[20]["error"]
    assert rows[21] == {"file": "missing.png", "error": "No such file or directory", "code": 30300}


def test_predict_in_words_for_people(
    trained: tuple[Path, dict[str, Any], str], digits: list[tuple[str, bytes]], tmp_path: Path
) -> None:
    (tmp_path / "one.png").write_bytes(digits[-1][1])
    answer = luthier("predict", "--model", str(trained[0]), str(tmp_path / "one.png"))
    assert answer.returncode == 0, answer.stderr
    name, _, rest = answer.stdout.strip().partition(": ")
    assert name.endswith("one.png")
    assert len(rest.split(", ")) == 5


def test_a_run_is_learnt_on_from_and_what_it_forgot_is_told(
    trained: tuple[Path, dict[str, Any], str], digit_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    more = ["--data", str(digit_folder(100)), "--out", str(tmp_path / "more"), "--set", "num_epochs=1"]
    answer = luthier("train", *QUICK, *more, "--start-from", str(trained[0]), "--replay-percent", "50")
    assert answer.returncode == 0, answer.stderr
    assert f"from {trained[0]}" in " ".join(answer.stdout.split())
    forgetting = json.loads((tmp_path / "more" / "report.json").read_text())["forgetting"]
    assert forgetting["before"]["accuracy"] >= 0.9 and forgetting["examples"] > 30
    assert 300 < len((tmp_path / "more" / "manifest.jsonl").read_text().splitlines()) < 450


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--replay-percent", "20"], "--replay-percent 20 needs --start-from RUN"),
        (["--start-from", "nowhere"], "no finished run in this folder"),
        (["--template", "MMClassification_ResNet_50", "--start-from", "RUN"], "trained as a visual-classifier with lu"),
    ],
)
def test_bad_ways_to_learn_on_are_named(
    arguments: list[str], says: str, trained: tuple[Path, dict[str, Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [str(trained[0]) if one == "RUN" else one for one in arguments]
    assert run(["train", *QUICK, "--data", "pictures", "--set", "pretrained_weights=None", *wanted]) != 0
    assert says in " ".join(capsys.readouterr().err.split())


def test_interrupt_keeps_a_checkpoint_and_resume_ends_the_run(
    digit_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    arguments = [*QUICK, "--data", str(digit_folder(300)), "--out", str(out), "--set", "num_epochs=24"]
    training = subprocess.Popen(
        [sys.executable, "-m", "luthier", "train", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored where the tests run in the background
    )
    wait_for(lambda: (out / "events.jsonl").exists() and "EpochDone" in (out / "events.jsonl").read_text())
    training.send_signal(signal.SIGINT)
    said, _ = training.communicate(timeout=30)
    assert training.returncode == 130
    assert f"luthier train --resume {out}" in said
    assert not (out / "report.json").exists()

    answer = luthier("train", "--resume", str(out), "--json")
    assert answer.returncode == 0, answer.stderr
    assert "going on from step" in answer.stderr
    assert json.loads(answer.stdout.splitlines()[-1])["metrics"]["accuracy"] > 0.8
    assert luthier("train", "--resume", str(out)).returncode == 2


def test_sigterm_leaves_no_engine_behind(digit_folder: Callable[[int], Path], tmp_path: Path) -> None:
    out = tmp_path / "terminated"
    arguments = [*QUICK, "--data", str(digit_folder(600)), "--out", str(out), "--set", "num_epochs=300"]
    training = subprocess.Popen([sys.executable, "-m", "luthier", "train", *arguments], stdout=subprocess.DEVNULL)
    wait_for(lambda: (out / "events.jsonl").exists())
    training.send_signal(signal.SIGTERM)
    training.wait(timeout=30)
    wait_for(lambda: not [one for one in processes() if str(out) in one.command], 5)


def wait_for(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


# -- what cannot be done as asked --------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_bad_H1_unknown_template_lists_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "--data", ".", "--template", "luthier_tiny_resnets")
    assert "--template is 'luthier_tiny_resnets'" in error
    assert "luthier_tiny_resnet" in error.partition("nearest")[2]


def test_bad_H2_unknown_hyperparameter_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "--data", ".", *QUICK, "--set", "num_epoch=3")
    assert "--set num_epoch" in error
    assert "did you mean num_epochs?" in error


@pytest.mark.parametrize("value", ["0", "-1", "1.5", '"8"', "true", "null", "[]", "1e9", "many"])
def test_bad_H3_batch_size(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    error = refused(capsys, "--data", ".", *QUICK, "--set", f"batch_size={value}")
    assert "--set batch_size is" in error
    assert "whole number" in error


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "num_epochs"], "write it as name=value"),
        (["--set", "num_epochs=3", "--set", "num_epochs=4"], "given twice"),
        (["--set", "concepts_mutually_exclusive=false", "--concepts-mutually-exclusive"], "contradicts"),
    ],
)
def test_bad_assignments_are_named(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capsys, "--data", ".", *QUICK, *arguments)


def test_bad_F7_an_empty_folder_has_no_training_data(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(capsys, "--data", str(tmp_path / "empty"), *QUICK)
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in refused(capsys, "--data", "nowhere", *QUICK)


def test_bad_F8_one_class_cannot_be_told_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / "one" / "cats").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "one" / "cats" / f"{number}.png")
    error = refused(capsys, "--data", str(tmp_path / "one"), *QUICK)
    assert "at least 2 are needed" in error
    assert not (tmp_path / "runs").exists()


def test_bad_F6_too_many_unreadable_pictures_stop_before_training(
    capsys: pytest.CaptureFixture[str], digit_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = digit_folder(60)
    for number in range(30):
        (folder / "0" / f"broken-{number}.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    error = refused(capsys, "--data", str(folder), *QUICK)
    assert "30 of 90 inputs" in error
    assert "--invalid-data-tolerance-percent" in error


def test_missing_weights_are_named_with_the_command_that_adds_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, digit_folder: Callable[[int], Path]
) -> None:
    monkeypatch.setenv("LUTHIER_OFFLINE", "1")
    arguments = ["--data", str(digit_folder(60)), "--template", "MMClassification_ResNet_50_RSB_A1"]
    error = refused(capsys, *arguments)
    assert "timm/resnet50.a1_in1k" in error
    assert "luthier weights add timm/resnet50.a1_in1k PATH; or set pretrained_weights to None" in error
    assert "offline" in error


def test_a_folder_that_holds_a_run_is_not_overwritten(
    trained: tuple[Path, dict[str, Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in trained[0].iterdir())
    assert "not an empty folder" in refused(capsys, "--data", ".", *QUICK, "--out", str(trained[0]))
    assert sorted(path.name for path in trained[0].iterdir()) == before


def test_train_without_data_or_template_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--data is missing" in refused(capsys, "--template", "luthier_tiny_resnet")
    assert "--template is missing" in refused(capsys, "--data", ".")


OF_THE_RUN = [one for one in train.command.params if one.name not in ("resume", "as_json")]


@pytest.mark.parametrize("name", [name for option in OF_THE_RUN for name in (*option.opts, *option.secondary_opts)])
def test_resume_takes_nothing_that_would_change_the_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = [] if name.startswith("--concepts-") else ["1"]
    said = " ".join(refused(capsys, "--resume", "runs/x", name, *value).split())
    assert f"with the run as it was begun; {name} cannot be changed" in said


def test_resume_names_all_that_cannot_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--device", "auto", "--set", "num_epochs=3", "--threads", "0", "--json"]
    said = " ".join(refused(capsys, "--resume", "runs/x", *given).split())
    assert "; --set, --threads, --device cannot be changed" in said
    assert "no run in this folder" in refused(capsys, "--resume", "runs/x", "--json")


def test_what_the_first_run_has_learnt_from_judges_no_run_that_goes_on_from_it(
    digit_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    """The same pictures with the splits changed about."""
    pictures = shutil.copytree(digit_folder(100), tmp_path / "pictures")
    names = sorted(f"pictures/{one.parent.name}/{one.name},{one.parent.name}" for one in pictures.glob("*/*"))
    said = io.StringIO()
    for run_name, splits, parent in (
        ("first", [*("train",) * 8, "val", "test"], None),
        ("second", ["val", "test", *("train",) * 8], tmp_path / "first"),
    ):
        rows = [f"{name},{splits[number % 10]}" for number, name in enumerate(names)]
        table = tmp_path / f"{run_name}.csv"
        table.write_text("\n".join(["image,label,split", *rows]), encoding="utf-8")
        arguments = train.Arguments(table, "luthier_tiny_resnet", out=tmp_path / run_name, start_from=parent)
        made = train.prepare_new(arguments, load(), Console(file=said, width=200))
        made.report_file.write_text("{}", encoding="utf-8")
    assert said.getvalue().count("validation and test examples are left out") == 1
    assert "Note: 20 validation and test examples are left out: the model that" in said.getvalue()
    assert Counter(one.split for one in read_manifest(made.manifest_file)) == {"train": 80}
    assert Path(made.spec().tokens_folder) == load().tokens_folder.absolute() / "local"


def test_predict_needs_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["predict", "--model", str(tmp_path), "a.png"]) == 2
    assert "it holds no run.json" in capsys.readouterr().err


def test_values_are_read_as_json_where_they_can_be() -> None:
    given = ["a=3", "b=0.5", "c=true", "d=[1,2]", "e=horizontal", "f=", "g=a=b", 'h="3"']
    assert parse_assignments(given) == {
        "a": 3,
        "b": 0.5,
        "c": True,
        "d": [1, 2],
        "e": "horizontal",
        "f": "",
        "g": "a=b",
        "h": "3",
    }


def test_what_is_rejected_is_listed_with_its_reason_and_not_counted(
    digit_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    folder = digit_folder(60)
    (folder / "3" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (folder / "notes.txt").write_text("not a class")
    answer = luthier("train", *QUICK, "--data", str(folder), "--set", "num_epochs=1", "--out", str(tmp_path / "run"))
    assert answer.returncode == 0, answer.stderr
    assert "60 pictures, 10 classes" in answer.stdout
    assert "Not used: 2 files" in answer.stdout
    assert "3/broken.png: " in answer.stdout
    assert "notes.txt: it is not a folder of a class" in answer.stdout
    total = next(line.split() for line in answer.stdout.splitlines() if line.startswith("all "))
    assert sum(map(int, total[1:])) == 60


def test_a_test_split_that_no_metric_can_be_computed_of_is_not_called_missing(
    digit_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    """An embedder is judged by how near two pictures of a concept lie: here each has one."""
    arguments = ["--data", str(digit_folder(60)), "--out", "run", "--set", "num_epochs=1", "--threads", "1"]
    answer = luthier("train", "--template", "luthier_tiny_embedder", *arguments)
    assert answer.returncode == 0, answer.stderr
    told = " ".join(answer.stdout.split())
    assert "examples, too few to compute any of recall_at_1" in told
    assert "no test split" not in told
