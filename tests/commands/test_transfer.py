"""`luthier train` and `luthier predict` on folders of .txt files: a head on an encoder's vectors, and clusters."""

import json
from pathlib import Path

import pytest

from luthier.catalog.weights import folder
from luthier.commands.command_line import run
from tests.recipes.test_text_classifiers import SUBJECTS, WEIGHTS
from tests.recipes.tiny_language_models import tiny_encoder

ENDINGS = ("", " for everyone", " in colour")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """texts/ with a folder for each subject, and weights/ with a tiny encoder."""
    root = tmp_path_factory.mktemp("transfer")
    tiny_encoder(
        folder(root / "weights", WEIGHTS), [*ENDINGS, *(text for texts in SUBJECTS.values() for text in texts)]
    )
    for subject, texts in SUBJECTS.items():
        (root / "texts" / subject).mkdir(parents=True)
        for number, text in enumerate(text + ending for text in texts for ending in ENDINGS):
            (root / "texts" / subject / f"{number}.txt").write_text(text, encoding="utf-8")
    return root


Output = pytest.CaptureFixture[str]


def said(capsys: Output, *arguments: object) -> str:
    """What a command prints; it must end well."""
    capsys.readouterr()
    code = run([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def metrics(capsys: Output, place: Path, template: str, *settings: str) -> dict[str, float]:
    """Of a training on the texts, in the folder called as the template."""
    where = ("--data", place / "texts", "--out", place / template, "--weights-dir", place / "weights")
    out = said(capsys, "train", "--template", template, *where, "--seed", 1, "--threads", 1, *settings, "--json")
    found: dict[str, float] = json.loads(out.splitlines()[-1])["metrics"]
    return found


def test_a_head_on_vectors_of_texts(place: Path, capsys: Output) -> None:
    assert set(metrics(capsys, place, "luthier_text_transfer", "--set", "regularization=0")) == {"accuracy", "macro_f1"}
    text = place / "texts" / "games" / "0.txt"
    out = said(capsys, "predict", "--model", place / "luthier_text_transfer", "--json", text)
    assert json.loads(out)["concepts"][0]["id"] == "games"


def test_clusters_of_texts(place: Path, capsys: Output) -> None:
    found = metrics(capsys, place, "luthier_text_clusters", "--set", "num_clusters=3")
    assert set(found) == {"distance", "silhouette"}
    out = said(capsys, "predict", "--model", place / "luthier_text_clusters", place / "texts")
    assert out.count(": cluster ") == 45
