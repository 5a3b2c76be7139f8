"""Writing: token after token, several texts at once, each with its own random numbers. Next: `decoder`.

Top-k and top-p (Holtzman et al. 2020) act on the probabilities that the temperature leaves.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import torch

from luthier.engine.generation.wording import Wording

COLDEST = 1e-4  # temperature: below it nothing but the most probable token is drawn, and logits become infinite


@dataclass(frozen=True)
class Options:
    """What a caller may choose; checked by who asks."""

    max_tokens: int = 256
    temperature: float = 0.0  # 0: always the most probable token
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    stop: tuple[str, ...] = ()  # an answer ends before the first of these
    seed: int = 0

    @classmethod
    def of(cls, given: dict[str, Any]) -> Self:
        known = {one.name: given[one.name] for one in fields(cls) if given.get(one.name) is not None}
        return cls(**{**known, "stop": tuple(known.get("stop", ()))})

    def within(self, room: int) -> Self:
        """The same for an answer of at most `room` tokens."""
        return replace(self, max_tokens=min(self.max_tokens, room))

    def to_bytes(self) -> bytes:
        return json.dumps({one.name: getattr(self, one.name) for one in fields(self)}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls.of(json.loads(data))


class Writer(Protocol):
    """A network that writes. `asks`: what it reads takes no room from what it writes."""

    @property
    def asks(self) -> bool: ...

    def begin(self, prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, Any]: ...

    def go_on(self, chosen: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]: ...


@torch.inference_mode()
def tokens(network: Writer, prompts: Sequence[Sequence[int]], options: Options) -> Iterator[list[int]]:
    """A token for each text, at most `max_tokens` times; who has enough stops asking."""
    draws = [torch.Generator().manual_seed(options.seed) for _ in prompts]
    logits, state = network.begin(prompts)
    for number in range(options.max_tokens):
        chosen = chosen_from(logits, options, draws)
        yield chosen.tolist()
        if number + 1 < options.max_tokens:
            logits, state = network.go_on(chosen, state)


def chosen_from(logits: torch.Tensor, options: Options, draws: Sequence[torch.Generator]) -> torch.Tensor:
    """int64 (B,), on the CPU, of logits (B, V)."""
    if options.temperature == 0:
        return logits.argmax(1).cpu()
    warm = logits.float().cpu() / max(options.temperature, COLDEST)
    ordered, places = torch.sort(warm, dim=1, descending=True, stable=True)
    if options.top_k:
        ordered[:, options.top_k :] = -torch.inf
    shares = ordered.softmax(1)
    enough = shares.cumsum(1) - shares >= options.top_p  # those before it are
    enough[:, 0] = False
    shares[enough] = 0
    drawn = [int(torch.multinomial(row, 1, generator=draw)) for row, draw in zip(shares, draws, strict=True)]
    return places.gather(1, torch.tensor(drawn)[:, None]).squeeze(1)


class Text:
    """A text while it is written. `fresh` is what may be shown already: whole characters, and no start of a stop."""

    def __init__(self, wording: Wording, options: Options) -> None:
        self._wording = wording
        self._stops = options.stop
        self._shown = 0
        self.ids: list[int] = []
        self.finish = ""  # end: the model closed it; stop: at a word to stop at; length: max_tokens; "": not yet

    def add(self, token: int) -> None:
        if token in self._wording.ends:
            self.finish = "end"
            return
        self.ids.append(token)
        if self._stops and self._stop_in(self._wording.text(self.ids)) is not None:
            self.finish = "stop"

    def whole(self) -> str:
        text = self._wording.text(self.ids)
        place = self._stop_in(text)
        return text if place is None else text[:place]

    def fresh(self) -> str:
        """What has come since it was last asked."""
        text = self.whole()
        end = len(text) if self.finish else len(text.rstrip("\ufffd")) - self._half_a_stop(text)
        start, self._shown = self._shown, max(self._shown, end)
        return text[start : self._shown]

    def _stop_in(self, text: str) -> int | None:
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        return min(places, default=None)

    def _half_a_stop(self, text: str) -> int:
        """How many characters at the end may be the beginning of a stop."""
        lengths = [n for stop in self._stops for n in range(1, len(stop)) if text.endswith(stop[:n])]
        return max(lengths, default=0)


def written(
    network: Writer, wording: Wording, prompts: Sequence[Sequence[int]], options: Options, most: int
) -> list[Text]:
    """The answers, in order. `most`: tokens that the network has positions for, 0 for no limit.

    A prompt that leaves less room than is asked for is answered apart from the others, which may write on.
    """
    together: dict[Options, list[int]] = {}  # those that end at the same token have room for it beside the longest
    for place, prompt in enumerate(prompts):
        together.setdefault(fitting(network, prompt, options, most), []).append(place)
    texts: dict[int, Text] = {}
    for chosen, places in together.items():
        texts |= zip(places, _written(network, wording, [prompts[place] for place in places], chosen), strict=True)
    return [texts[place] for place in range(len(prompts))]


def fitting(network: Writer, prompt: Sequence[int], options: Options, most: int) -> Options:
    """`options` with no more tokens to write than there are positions for after `prompt`."""
    return options.within(most - (0 if network.asks else len(prompt))) if most else options


def _written(network: Writer, wording: Wording, prompts: Sequence[Sequence[int]], options: Options) -> list[Text]:
    texts = [Text(wording, options) for _ in prompts]
    for chosen in tokens(network, prompts, options):
        for text, token in zip(texts, chosen, strict=True):
            if not text.finish:
                text.add(token)
        if all(text.finish for text in texts):
            break
    for text in texts:
        text.finish = text.finish or "length"
    return texts
