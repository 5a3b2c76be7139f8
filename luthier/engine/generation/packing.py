"""Several texts side by side in the rows of one batch, none of which sees another. Next: `recipes/text_generation`.

Rows without packing hold one text each, padded to the longest. Either way a row is tokens, the position of each token
in its own text, and the number of that text in the batch, 0 for padding. Positions that begin again are what
`transformers` builds the mask from: a token attends to those before it in its own text alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TEXTS_A_ROW = 2  # of the longest, at least: fewer leave more padding
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rows:
    """int64 (R, W) each, `learned` bool. Texts are numbered from 1 in the order in which they were given."""

    tokens: Array
    positions: Array
    texts: Array
    learned: Array  # whether the loss counts this token, given those before it


def padded(tokens: Sequence[Array], learned: Sequence[Array]) -> Rows:
    """A text in each row."""
    return _laid(tokens, learned, [[number] for number in range(len(tokens))])


def packed(tokens: Sequence[Array], learned: Sequence[Array], width: int) -> Rows:
    """Rows of `width` tokens at most, with as little padding as can be had; a longer text has a row for itself.

    Rows are no wider than they need be to hold some texts each, as attention costs more in wide ones.
    """
    lengths = [len(one) for one in tokens]
    most = max(min(width, TEXTS_A_ROW * max(lengths)), *lengths)
    fewest = -(-sum(lengths) // most)
    choices = [_shared_out(lengths, rows) for rows in range(fewest, min(len(lengths), 2 * fewest) + 1)]
    fitting = [rows for rows in choices if _widest(rows, lengths) <= most]
    return _laid(tokens, learned, min(fitting, key=lambda rows: len(rows) * _widest(rows, lengths)))


def _shared_out(lengths: Sequence[int], rows: int) -> list[list[int]]:
    """Each text, the longest first, into the row that is shortest so far (Graham 1969)."""
    places: list[list[int]] = [[] for _ in range(min(rows, len(lengths)))]
    filled = [0] * len(places)
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        row = filled.index(min(filled))
        places[row].append(number)
        filled[row] += lengths[number]
    return places


def _widest(rows: Sequence[Sequence[int]], lengths: Sequence[int]) -> int:
    return max(sum(lengths[number] for number in row) for row in rows)


def _laid(tokens: Sequence[Array], learned: Sequence[Array], rows: Sequence[Sequence[int]]) -> Rows:
    width = max(sum(len(tokens[number]) for number in row) for row in rows)
    shape = (len(rows), width)
    ids, positions, texts = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    counts = np.zeros(shape, dtype=bool)
    for place, row in enumerate(rows):
        start = 0
        for number in row:
            end = start + len(tokens[number])
            ids[place, start:end] = tokens[number]
            positions[place, start:end] = np.arange(end - start)
            texts[place, start:end] = number + 1
            counts[place, start:end] = learned[number]
            counts[place, start] = False  # nothing stands before it
            start = end
    return Rows(ids, positions, texts, counts)
