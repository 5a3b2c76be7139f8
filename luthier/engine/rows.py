"""Which parts of a head speak of which concept: it can then be carried over to other concepts. Next: `backbones`."""

from dataclasses import dataclass

import torch

Tensor = torch.Tensor


@dataclass(frozen=True)
class Rows:
    """Which rows of a tensor speak of which concept, so that a head can be carried over to other concepts."""

    of_concept: Tensor  # (concepts, rows each)
    shared: Tensor  # rows that belong to none, as those of the background


def plain_rows(classes: int, each: int = 1) -> Rows:
    """`each` rows after one another for each concept."""
    return Rows(torch.arange(classes * each).view(classes, each), torch.empty(0, dtype=torch.long))


def rows_per_anchor(classes: int, anchors: int, each: int = 1) -> Rows:
    """Rows in the order anchor, concept, coordinate; `each` coordinates."""
    rows = torch.arange(anchors * classes * each).view(anchors, classes, each)
    return Rows(rows.permute(1, 0, 2).reshape(classes, -1), torch.empty(0, dtype=torch.long))
