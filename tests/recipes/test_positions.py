"""Texts as long as a base model has positions for, and longer: how many these are, and what becomes of the rest."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers

from luthier.catalog.weights import assets
from luthier.engine.language_models import POSITIONS_AFTER_PADDING, config_of, most_tokens
from luthier.engine.recipe import recipe_for
from luthier.engine.recipes.text_classification import TextClassification
from luthier.engine.recipes.text_generation import TextGeneration
from luthier.errors import InvalidBytes, InvalidTrainingParams
from luthier.runs.run import RunSpec
from tests.recipes import test_text_classifiers as classifiers
from tests.recipes import test_text_generators as generators

POSITIONS = 24
OWN_SHAPES: dict[str, dict[str, Any]] = {  # beside hidden_size and so on
    "gpt2": {"n_positions": POSITIONS},
    "gptj": {"n_positions": POSITIONS, "rotary_dim": 4},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 4, "entity_emb_size": 8},
    "markuplm": {"max_depth": 2, "xpath_unit_hidden_size": 4},
    "xmod": {"default_language": "en_XX"},
}
SHAPE = {"vocab_size": 40, "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4, "pad_token_id": 1}


@pytest.mark.parametrize("family", ["bert", "gpt2", "gptj", *POSITIONS_AFTER_PADDING])
def test_a_text_of_most_tokens_is_read_and_a_longer_one_has_no_position(family: str, tmp_path: Path) -> None:
    positions = {} if "gpt" in family else {"max_position_embeddings": POSITIONS}
    own = {"intermediate_size": 48} if "gpt" not in family else {}
    config = transformers.AutoConfig.for_model(family, **{**SHAPE, **positions, **own, **OWN_SHAPES.get(family, {})})
    config.save_pretrained(tmp_path)
    body = transformers.AutoModel.from_config(config_of(tmp_path)).eval()
    most = most_tokens(tmp_path)
    with torch.inference_mode():
        body(input_ids=torch.full((1, most), 5))
        with pytest.raises((IndexError, RuntimeError)):
            body(input_ids=torch.full((1, most + 1), 5))


def test_families_without_a_limit_have_none(tmp_path: Path) -> None:
    for family in ("t5", "xlnet", "bloom"):
        transformers.AutoConfig.for_model(family).save_pretrained(tmp_path / family)
        assert most_tokens(tmp_path / family) == 0


def test_a_soft_prompt_takes_its_positions(tmp_path: Path) -> None:
    transformers.AutoConfig.for_model("bert", max_position_embeddings=POSITIONS).save_pretrained(tmp_path)
    assert most_tokens(tmp_path, {"num_virtual_tokens": 4}) == POSITIONS - 4
    with pytest.raises(InvalidTrainingParams, match=r"num_virtual_tokens is 20, .* give at most 16"):
        most_tokens(tmp_path, {"num_virtual_tokens": 20})


def test_a_made_up_text_is_no_longer_than_the_model_reads(tmp_path: Path) -> None:
    classifiers.tiny_encoder(classifiers.folder(tmp_path, classifiers.WEIGHTS), ["music"])
    spec = classifiers.small_spec(tmp_path, max_tokens=2048)
    spec = replace(spec, assets_folder=str(tmp_path / classifiers.WEIGHTS))
    recipe = cast(TextClassification, recipe_for(spec))
    assert len(recipe.example_of(0)["tokens"]) == recipe.limit // 2 == 32


# -- writing -----------------------------------------------------------------------------------------------------------

GPT2_POSITIONS = 96


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generators.weights_of(tmp_path_factory.mktemp("weights"), "gpt2")


def writer(root: Path, **plan: Any) -> TextGeneration:
    spec: RunSpec = generators.small_spec(root, **plan)
    folder = assets(root, spec.weights)[0].parent
    return cast(TextGeneration, recipe_for(replace(spec, assets_folder=str(folder))))


def test_answers_near_the_last_position_are_judged(root: Path) -> None:
    recipe = writer(root, max_tokens=512, judge_answers=True, cut_at="start")
    assert recipe.most_tokens == GPT2_POSITIONS
    texts = ["### Human: " + "Oslo " * words + "### Assistant: Oslo is lovely in spring." for words in (200, 1)]
    encoded = [recipe.encode(text.encode(), generators.Example("", "", "train")) for text in texts]
    assert len(encoded[0]["tokens"]) == GPT2_POSITIONS
    network = recipe.build(pretrained=True).eval()
    assert recipe.predict(network, recipe.collate(encoded))["judged"].tolist() == [1, 1]


def test_a_long_prompt_beside_it_cuts_no_answer_short(root: Path) -> None:
    recipe = writer(root, max_tokens=32)
    network = recipe.build(pretrained=True).eval()
    long, short = "Oslo is lovely in spring. " * 12, "Lima"

    def asked(*texts: str) -> list[dict[str, Any]]:
        batch = recipe.collate([recipe.encode_prompt(text.encode(), {"max_tokens": 40}) for text in texts])
        return recipe.answers(recipe.predict(network, batch), batch)

    room = GPT2_POSITIONS - len(recipe.wording.prompt(long, chat=True))
    assert 0 < room < 40
    together = asked(long, short)
    assert together == [*asked(long), *asked(short)]
    assert together[0]["tokens"] == room < together[1]["tokens"] <= 40


def test_a_prompt_keeps_its_beginning_up_to_the_last_position(root: Path) -> None:
    recipe = writer(root, max_tokens=32)
    text = "Minsk has two rivers. " + "Oslo is lovely in spring. " * 6
    tokens = recipe.encode_prompt(text.encode(), {})["plain"]
    assert 32 < len(tokens) < GPT2_POSITIONS and recipe.wording.text(tokens.tolist()) == text
    with pytest.raises(InvalidBytes, match="this model reads and writes 96 in all: shorten it"):
        recipe.encode_prompt((text * 3).encode(), {})
