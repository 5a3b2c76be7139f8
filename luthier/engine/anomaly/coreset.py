"""A few rows that lie near all others: the greedy coreset of PatchCore, quickly. Next: `patchcore`, whose memory it is.

Source: Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection", algorithm 1; Sener and Savarese 2018.
"""

import torch

Tensor = torch.Tensor
DIMENSIONS = 128  # that distances are taken in, after a random projection (Johnson and Lindenstrauss)
POOL = 4096  # farthest rows among which the next ones are chosen
CHUNK = 16384  # rows whose distances are computed at once
ROUNDING = 1e-6  # of the largest square: what is nearer than that is a copy


def greedy_coreset(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Places of `count` of the `rows` (N, D), fewer where others are only copies: each is the farthest from all before.

    The choice is the plain greedy one, in the projected space. What is quick about it: distances to the chosen only
    ever fall, so as long as the farthest row of a pool is farther than any row outside was, it is the farthest of all,
    and only the pool needs to be kept up to date. All others are brought up to date by one product of matrices for
    many choices at once. Memory for N rows: N * 128 floats. The `generator` lives on the CPU.
    """
    if count >= len(rows):
        return torch.arange(len(rows), device=rows.device)
    x = _projected(rows, generator)
    squares = x.square().sum(1)
    first = int(torch.randint(len(x), (1,), generator=generator))
    chosen = [first]
    farness = _squared_distances(x, squares, x[first : first + 1])
    while len(chosen) < count:
        fresh = _farthest_of_pool(x, squares, farness, count - len(chosen))
        if not fresh:
            break  # every row that is left is a copy of a chosen one
        chosen += fresh
        for start in range(0, len(x), CHUNK):
            part = slice(start, start + CHUNK)
            nearer = _squared_distances(x[part], squares[part], x[fresh])
            torch.minimum(farness[part], nearer, out=farness[part])
        farness[fresh] = 0.0
    return torch.tensor(chosen, device=rows.device)


def _farthest_of_pool(x: Tensor, squares: Tensor, farness: Tensor, most: int) -> list[int]:
    """The next choices that a pool of far rows can tell; at least one, unless all rows lie on chosen ones."""
    far, pool = farness.topk(min(POOL, len(x)))
    outside = float(far[-1]) if len(pool) < len(x) else -1.0  # no row outside the pool is farther than this
    members, own_squares = x[pool], squares[pool]
    fresh: list[int] = []
    while len(fresh) < most:
        distance, place = (float(one) for one in far.max(0))
        if distance <= ROUNDING * float(own_squares.max()) or (fresh and distance < outside):
            break
        at = int(place)
        fresh.append(int(pool[at]))
        nearer = own_squares + own_squares[at] - 2 * (members @ members[at])
        torch.minimum(far, nearer, out=far)
        far[at] = 0.0
    return fresh


def _projected(rows: Tensor, generator: torch.Generator) -> Tensor:
    if rows.shape[1] <= DIMENSIONS:
        return rows.float()
    matrix = torch.randn(rows.shape[1], DIMENSIONS, generator=generator).to(rows.device) / DIMENSIONS**0.5
    return torch.cat([part.float() @ matrix for part in torch.split(rows, CHUNK)])


def _squared_distances(x: Tensor, squares: Tensor, others: Tensor) -> Tensor:
    """Of each row of `x` to the nearest of `others`."""
    product = torch.addmm(others.square().sum(1), x, others.T, alpha=-2)
    return product.amin(1).add_(squares).clamp_(min=0)
