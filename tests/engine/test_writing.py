"""Parts of text generators: how near answers are, how texts share rows, what sections say, how words are drawn."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from luthier.engine.generation.answer_metrics import chrf, measure, rouge_l
from luthier.engine.generation.conversations import messages_in
from luthier.engine.generation.packing import packed, padded
from luthier.engine.generation.writing import Options, chosen_from, written
from luthier.errors import InvalidBytes


def test_metrics_of_answers_by_hand() -> None:
    assert rouge_l("The cat sat", "the cat is") == pytest.approx(2 / 3)
    assert (rouge_l("", "word"), rouge_l("!", "?")) == (0.0, 1.0)
    assert chrf("ab", "ac") == pytest.approx(0.25)  # of letters a half, of pairs none; orders above are too long
    assert (chrf("a b c", "abc"), chrf("", "abc")) == (1.0, 0.0)
    assert measure(" yes\n", "yes") == {"exact_match": 1.0, "rouge_l": 1.0, "chrf": 1.0}


def test_every_token_has_one_place_and_rows_are_full() -> None:
    draw = np.random.default_rng(3)
    texts = [draw.integers(5, 99, length) for length in draw.integers(2, 60, 64)]
    learned = [np.ones(len(one), dtype=bool) for one in texts]
    rows = packed(texts, learned, 256)
    for number, one in enumerate(texts, start=1):
        place = rows.texts == number
        assert (rows.tokens[place] == one).all() and (rows.positions[place] == np.arange(len(one))).all()
        assert rows.learned[place].tolist() == [False, *[True] * (len(one) - 1)]  # nothing stands before the first
    assert rows.tokens.shape[1] <= 256 and sum(map(len, texts)) > 0.9 * rows.tokens.size
    assert padded(texts, learned).tokens.shape == (64, max(map(len, texts)))


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("### Human: Hi### Assistant: Hello", ["user", "assistant"]),
        ("### Instruction:\nBe brief.\n### Human: Hi\n### Assistant:", ["system", "user"]),
        ("### Instruction: Say hi ### Response: Hi", ["user", "assistant"]),
        ('{"messages": [{"role": "user", "content": "Hi"}]}', ["user"]),
        ('{"city": "Oslo"}', ["completion"]),
    ],
)
def test_forms_of_texts(text: str, roles: list[str]) -> None:
    assert [message.role for message in messages_in(text)] == roles


@pytest.mark.parametrize("text", [" \n", '{"messages": []}', '{"messages": [{"role": "cook", "content": ""}]}'])
def test_bad_E1_texts_that_say_nothing(text: str) -> None:
    with pytest.raises(InvalidBytes):
        messages_in(text)


def test_how_a_word_is_drawn() -> None:
    logits = torch.tensor([[0.0, 3.0, 2.0, -9.0]]).repeat(400, 1)
    draws = [torch.Generator().manual_seed(seed) for seed in range(400)]
    drawn = {name: chosen_from(logits, options, draws).tolist() for name, options in {
        "greedy": Options(), "two": Options(temperature=1.0, top_k=2), "half": Options(temperature=1.0, top_p=0.5),
    }.items()}  # fmt: skip
    assert set(drawn["greedy"]) == set(drawn["half"]) == {1}
    assert set(drawn["two"]) == {1, 2} and 0.65 < drawn["two"].count(1) / 400 < 0.81  # e³ / (e³ + e²) = 0.73


@pytest.mark.parametrize("options", [{"top_p": 0.0}, {"temperature": 1e-40}, {"temperature": 5e-324}], ids=str)
def test_the_ends_of_what_may_be_asked_for_draw_the_most_probable_word(options: dict[str, float]) -> None:
    logits = torch.tensor([[0.0, 3.0, 2.0, -9.0], [-1e4, 1.0, -torch.inf, 2.0]])
    draws = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    assert chosen_from(logits, Options(**{"temperature": 1.0, **options}), draws).tolist() == [1, 3]


class Endless:
    """Writes the same word for ever, in a network of ten positions. Its state is how many of these are taken."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, Any]:
        return self._read(len(prompts), 1 if self.asks else max(map(len, prompts)))

    def go_on(self, chosen: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        return self._read(len(chosen), state + 1)

    def _read(self, rows: int, taken: int) -> tuple[torch.Tensor, Any]:
        if taken > 10:
            raise IndexError("index out of range in self")
        return torch.eye(4)[[3] * rows], taken


@pytest.mark.parametrize(
    ("asks", "max_tokens", "lengths"), [(False, 5, [5, 1, 3, 1]), (False, 1, [1] * 4), (True, 50, [10] * 4)]
)
def test_each_prompt_is_answered_as_far_as_its_own_room_goes(asks: bool, max_tokens: int, lengths: list[int]) -> None:
    wording: Any = SimpleNamespace(ends=[], text=lambda ids: "word " * len(ids))
    prompts = [[1] * 2, [1] * 9, [1] * 7, [1] * 9]
    texts = written(Endless(asks=asks), wording, prompts, Options(max_tokens=max_tokens), 10)
    assert [len(text.ids) for text in texts] == lengths and {text.finish for text in texts} == {"length"}
