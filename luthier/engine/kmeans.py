"""k-means: centres such that vectors lie near the nearest one. Next: `recipes/embedding_clustering`.

Lloyd's iterations (1982) from k-means++ starts (Arthur and Vassilvitskii 2007), the best of several.
"""

from dataclasses import dataclass

import torch

Tensor = torch.Tensor
ROWS = 65_536  # vectors that are compared with the centres at a time
MOST_ITERATIONS = 100


@dataclass(frozen=True)
class Clusters:
    centres: Tensor  # (K, D)
    counts: Tensor  # int64 (K,), vectors of each
    distance: float  # mean squared distance of a vector to its centre
    iterations: int


def fit(vectors: Tensor, count: int, generator: torch.Generator, starts: int = 3) -> Clusters:
    """At most `count` centres of float (N, D): fewer where there are fewer different vectors."""
    found = [_fit_once(vectors, count, generator) for _ in range(starts)]
    return min(found, key=lambda one: one.distance)


def nearest(vectors: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances (N, 2) to the two nearest centres and which they are, int64 (N, 2); of one centre (N, 1)."""
    near = min(2, len(centres))
    found = [_squared(rows, centres).topk(near, dim=1, largest=False) for rows in torch.split(vectors, ROWS)]
    return torch.cat([one.values for one in found]), torch.cat([one.indices for one in found])


def _fit_once(vectors: Tensor, count: int, generator: torch.Generator) -> Clusters:
    centres = _spread(vectors, count, generator)
    before = None
    iterations = 0
    for iterations in range(1, MOST_ITERATIONS + 1):  # noqa: B007, it is told
        distances, places = nearest(vectors, centres)
        mine = places[:, 0]
        if before is not None and torch.equal(mine, before):
            break
        before = mine
        sums = torch.zeros_like(centres).index_add_(0, mine, vectors)
        counts = torch.bincount(mine, minlength=len(centres))
        filled = counts > 0
        centres[filled] = sums[filled] / counts[filled].unsqueeze(1)
        if not bool(filled.all()):  # an empty one begins anew at the vector that lies farthest off
            centres[~filled] = vectors[distances[:, 0].topk(int((~filled).sum())).indices]
    distances, places = nearest(vectors, centres)
    counts = torch.bincount(places[:, 0], minlength=len(centres))
    filled = counts > 0
    return Clusters(centres[filled], counts[filled], float(distances[:, 0].mean()), iterations)


def _spread(vectors: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: each next start is a vector drawn in proportion to its squared distance from those there are."""
    first = int(torch.randint(len(vectors), (1,), generator=generator))
    chosen = [vectors[first]]
    distances = _squared(vectors, chosen[0].unsqueeze(0))[:, 0]
    while len(chosen) < count and float(distances.max()) > 1e-9:
        reached = distances.double().cumsum(0)
        drawn = torch.rand(1, generator=generator, dtype=torch.double) * reached[-1]
        place = min(int(torch.searchsorted(reached, drawn)), len(vectors) - 1)
        chosen.append(vectors[place])
        distances = torch.minimum(distances, _squared(vectors, chosen[-1].unsqueeze(0))[:, 0])
    return torch.stack(chosen)


def _squared(rows: Tensor, centres: Tensor) -> Tensor:
    """(N, K)"""
    squares = rows.square().sum(1, keepdim=True) - 2 * rows @ centres.T + centres.square().sum(1)
    return squares.clamp_(min=0)
