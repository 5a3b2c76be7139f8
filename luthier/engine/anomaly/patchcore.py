"""PatchCore: a memory of patches of good pictures; what lies far from all of them is an anomaly. Next: `coreset`.

Source: Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection".
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from luthier.catalog.anomaly import AnomalyPlan
from luthier.engine.anomaly.coreset import greedy_coreset
from luthier.engine.anomaly.networks import AnomalyNetwork
from luthier.engine.detection.bodies import Body
from luthier.engine.loading import generator_for

Tensor = torch.Tensor
MOST_SEEN = 250_000  # patches that are kept until the coreset is chosen; more are thinned out at random
FAINTEST = 1e-5  # of the largest variance: what is below counts no more than that
CHUNK = 8192  # patches that are compared with the memory at once


class PatchCore(AnomalyNetwork):
    """A patch is a place of the body's maps with its neighbours; the coarser maps are enlarged to the finest.

    `memory` (M, D) are the remembered patches. `seen` are those of this epoch, a table of which `filled` rows count:
    it is part of checkpoints, so that a run that was cut within the epoch goes on. Where the plan says `alike`, rows
    are multiplied by `level` before they are compared: channels that say the same no longer count twice, and what is
    rare among good pictures counts most, however faint.
    """

    memory: Tensor
    seen: Tensor
    filled: Tensor
    share: Tensor
    level: Tensor

    def __init__(self, body: Body, plan: AnomalyPlan, seed: int) -> None:
        super().__init__(body, plan)
        self.seed = seed
        self.nothing = nn.Identity()  # what a head is in other networks
        width = sum(body.channels)
        self.register_buffer("memory", torch.zeros(0, width))
        self.register_buffer("seen", torch.zeros(0, width, dtype=torch.float16))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))
        self.register_buffer("share", torch.ones(()))  # of the patches of a picture that are kept
        self.register_buffer("level", torch.eye(width if plan.alike else 0))
        self.register_load_state_dict_pre_hook(_make_room)  # type: ignore[no-untyped-call]

    def get_classifier(self) -> nn.Module:
        return self.nothing

    def make_room(self, shapes: dict[str, tuple[int, ...]]) -> None:
        for name in ("memory", "seen"):
            if name in shapes:
                buffer: Tensor = getattr(self, name)
                setattr(self, name, buffer.new_zeros(shapes[name]))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Before anything is remembered, everything is as usual as can be: zeros."""
        patches, (height, width) = self._patches(images)
        maps = patches.new_zeros(len(images), height, width)
        scores = patches.new_zeros(len(images))
        if len(self.memory):
            with torch.autocast(images.device.type, enabled=False):  # a distance is what is left of far larger numbers
                distances, scores = self._distances(patches, len(images))
            maps = distances.view(len(images), height, width)
        return scores, self.finished(maps.unsqueeze(1))

    def _distances(self, patches: Tensor, images: int) -> tuple[Tensor, Tensor]:
        """Of each patch (N,) to the memory; and of them the score of each picture (images,)."""
        known, patches = self._levelled(self.memory), self._levelled(patches)
        distances, nearest = _nearest(patches, known)
        first = torch.arange(0, len(distances), len(distances) // images, device=distances.device)
        strangest = distances.view(images, -1).argmax(1) + first
        return distances, self._weighed(patches[strangest], distances[strangest], nearest[strangest], known)

    @torch.no_grad()
    def loss(self, images: Tensor) -> Tensor:
        rows = self._patches(images)[0]
        self._keep(_part_of(rows, float(self.share)))
        return rows.new_zeros(())

    @torch.no_grad()
    def settle(self) -> str:
        """The coreset of what was seen, and of what was remembered before, becomes the memory."""
        seen = self.seen[: int(self.filled)].float()
        wanted = min(self.plan.largest_memory, max(1, round(len(seen) * self.plan.coreset_ratio)) + len(self.memory))
        rows = torch.cat([self.memory, seen])
        if self.plan.alike:
            self.level.copy_(_whitening(rows))
        generator = generator_for(self.seed, "coreset", 0)
        self.memory = rows[greedy_coreset(self._levelled(rows), wanted, generator)]
        thinned = f", of which a share of {float(self.share):g} was kept" if float(self.share) < 1 else ""
        self.seen, self.filled, self.share = self.seen[:0], torch.zeros_like(self.filled), torch.ones_like(self.share)
        return f"{len(self.memory)} patches are remembered out of {len(rows)} of good pictures{thinned}"

    def _levelled(self, rows: Tensor) -> Tensor:
        return rows @ self.level if self.plan.alike else rows

    def _patches(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B * h * w, D) float32 on h rows and w columns."""
        size = self.plan.patch
        maps = [
            functional.avg_pool2d(one.float(), size, 1, size // 2, count_include_pad=False) for one in self.body(images)
        ]
        shape = maps[0].shape[2:]
        same = [maps[0], *(functional.interpolate(one, size=shape, mode="bilinear") for one in maps[1:])]
        joined = torch.cat(same, 1).permute(0, 2, 3, 1)
        return joined.reshape(-1, joined.shape[3]), (shape[0], shape[1])

    def _keep(self, rows: Tensor) -> None:
        """Puts patches into `seen`, which grows by doubling; where it is full, half of all are given up by lot."""
        while int(self.filled) + len(rows) > MOST_SEEN:
            kept = _part_of(self.seen[: int(self.filled)], 0.5)
            self.seen[: len(kept)] = kept
            self.filled.fill_(len(kept))
            rows = _part_of(rows, 0.5)
            self.share.mul_(0.5)
        start, end = int(self.filled), int(self.filled) + len(rows)
        if end > len(self.seen):
            room = self.seen.new_zeros(min(MOST_SEEN, max(end, 2 * len(self.seen))), self.seen.shape[1])
            room[:start] = self.seen[:start]
            self.seen = room
        limit = torch.finfo(self.seen.dtype).max
        self.seen[start:end] = rows.clamp(-limit, limit).to(self.seen.dtype)
        self.filled.fill_(end)

    def _weighed(self, patches: Tensor, distances: Tensor, nearest: Tensor, known: Tensor) -> Tensor:
        """The paper's equation 7: a distance weighs less where the nearest remembered patch has few others around."""
        count = min(self.plan.neighbours, len(known))
        if count < 2:
            return distances
        around = torch.cdist(known[nearest], known).topk(count, largest=False).indices
        others = (patches.unsqueeze(1) - known[around]).norm(dim=2)
        weighed: Tensor = (1 - others.softmax(1)[:, 0]) * distances
        return weighed


def _whitening(rows: Tensor) -> Tensor:
    """(D, D): products with it have variance 1 in every direction of `rows`, but for those of next to no variance."""
    variances, directions = torch.linalg.eigh(torch.cov(rows.T).view(rows.shape[1], -1))
    whitening: Tensor = directions / variances.clamp(min=float(variances.max()) * FAINTEST + 1e-12).sqrt()
    return whitening


def _part_of(rows: Tensor, share: float) -> Tensor:
    """Each row with that probability."""
    return rows if share >= 1 else rows[(torch.rand(len(rows)) < share).to(rows.device)]


def _nearest(patches: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each patch to the nearest known one, and which that is."""
    squares = known.square().sum(1)
    found = []
    for part in torch.split(patches, CHUNK):
        product = torch.addmm(squares, part, known.T, alpha=-2)
        least = product.min(1)
        found.append((least.values + part.square().sum(1), least.indices))
    distances = torch.cat([one for one, _ in found]).clamp(min=0).sqrt()
    return distances, torch.cat([one for _, one in found])


def _make_room(network: PatchCore, tensors: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Before a checkpoint is loaded: how many patches it holds is not known sooner."""
    network.make_room({name.removeprefix(prefix): tuple(tensor.shape) for name, tensor in tensors.items()})
