"""The command as a person meets it: help, near misses, errors of one line."""

import subprocess
import sys
import time

import pytest

from luthier.commands.command_line import run

HEAVY = ("torch", "sqlalchemy", "grpc", "google", "numpy", "PIL", "rich", "starlette", "alembic")


def test_help_names_every_command_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("train", "predict", "serve", "worker", "predictors", "token", "migrate", "doctor", "settings"):
        assert f"\n  {name} " in text
    assert "luthier train --data" in text
    assert "\n  api " not in text


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from luthier.commands.command_line import run; run(['--help']); "
        f"sys.exit(str([name for name in {HEAVY!r} if name in sys.modules] or 0))"
    )
    best = 9.0
    for _ in range(3):
        begun = time.perf_counter()
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        best = min(best, time.perf_counter() - begun)
        assert answer.stderr.strip() in ("", "0")
    assert best < 0.4


def test_python_m_luthier_is_the_same_command() -> None:
    answer = subprocess.run([sys.executable, "-m", "luthier", "--version"], capture_output=True, text=True)
    assert answer.returncode == 0
    assert answer.stdout.startswith("luthier ")


@pytest.mark.parametrize("name", ["train", "predict", "templates", "weights", "serve", "worker", "predictors", "token"])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"Usage: luthier {name}" in capsys.readouterr().out


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["trian"]) == 2
    assert "did you mean train?" in capsys.readouterr().err


def test_an_error_is_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "--data", "nowhere", "--template", "no_such_thing"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("luthier: Invalid training parameters: --template is 'no_such_thing'")
    assert error.count("\n") == 1


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--debug", "train", "--data", "nowhere", "--template", "no_such_thing"]) == 2
    assert "Traceback" in capsys.readouterr().err
