"""The configurations that a user's may build upon, by their documented names. Next: `detection_bases` for an example.

The contents are ours, in the toolboxes' words: what the papers and model zoos publish of each network, as far as
Luthier does it. Each says the same in the words of both generations of the toolboxes. A learning rate is that of one
device: the published one divided by the eight devices that it was published for.
"""

import difflib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from luthier.catalog.own_config import classification_bases, detection_bases, segmentation_bases
from luthier.catalog.own_config.limits import RefusedError
from luthier.catalog.own_config.merging import joined

Config = dict[str, Any]
TOOLBOXES: dict[str, Callable[[], dict[str, Config]]] = {
    "mmdetection": detection_bases.all_bases,
    "mmclassification": classification_bases.all_bases,
    "mmsegmentation": segmentation_bases.all_bases,
}


@cache
def bases_of(toolbox: str) -> dict[str, Config]:
    """By name, as `/mmdetection/configs/yolof/yolof_r50_c5_8x8_1x_coco.py`."""
    return {f"/{toolbox}/configs/{name}.py": config for name, config in TOOLBOXES[toolbox]().items()}


def lookup(toolbox: str, names: Sequence[str]) -> Config:
    """What the bases of these names say together; raises RefusedError for one that there is not."""
    known = bases_of(toolbox)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name[:200], known, n=3, cutoff=0.3) or list(known)[:3]
            raise RefusedError(f"_base_ is {ascii(name)[:120]}; give one that Luthier has, as {', '.join(near)}")
    return joined({name: known[name] for name in names})
