"""Backbones in the toolboxes' words -> names of timm's networks, their weights and cost. Next: `section`."""

from typing import NamedTuple

from luthier.catalog.own_config.section import Section, wrong

RESNETS = {  # depth: GFLOPs of 224 pixels squared
    18: 3.64, 34: 7.34, 50: 8.18, 101: 15.6, 152: 23.0,
}  # fmt: skip
RESNEXTS = {(50, 4): 8.46, (101, 4): 16.0, (101, 8): 32.8}  # depth and width of each of 32 groups
RESNEXT_WEIGHTS = {(50, 4): "tv_in1k", (101, 4): "gluon_in1k", (101, 8): "tv_in1k"}
OURS = ("torchvision://", "open-mmlab://")  # names of hubs, for which the weights of ImageNet stand that Luthier has


class Body(NamedTuple):
    """`weights` is "" for a random start; `gflops` is of 224 pixels squared."""

    network: str
    weights: str
    gflops: float


def residual(section: Section) -> Body:
    """A ResNet or a ResNeXt, of all depths that there are weights of."""
    grouped = section.choice("type", {"ResNet": False, "ResNeXt": True})
    depth = section.whole("depth", 1, 1000, 50)
    if not grouped:
        if depth not in RESNETS:
            raise wrong(section.at("depth"), depth, f"one of {', '.join(map(str, RESNETS))}")
        return started(section, f"timm/resnet{depth}", "tv_in1k", RESNETS[depth])
    section.only("groups", 32)
    width = section.whole("width_per_group" if "width_per_group" in section else "base_width", 1, 1000, 4)
    if (depth, width) not in RESNEXTS:
        known = ", ".join(f"{depth} with {width}" for depth, width in RESNEXTS)
        raise wrong(section.at("depth"), depth, f"a depth and a width of each of 32 groups that go together: {known}")
    shape = depth, width
    return started(section, f"timm/resnext{depth}_32x{width}d", RESNEXT_WEIGHTS[shape], RESNEXTS[shape])


def started(section: Section, network: str, tag: str, gflops: float) -> Body:
    """With weights of ImageNet, unless `init_cfg` says None."""
    init = section.section("init_cfg")
    if init is None:
        section.notes.append(
            f"custom_config: {section.path} starts at random, so all of it learns, as fast as the head"
        )
        return Body(network, "", gflops)
    init.only("type", "Pretrained")
    checkpoint = init.take("checkpoint")
    init.take("prefix")
    init.end()
    if not isinstance(checkpoint, str) or not checkpoint.startswith(OURS):
        hubs = " or ".join(f"{hub}…" for hub in OURS)
        raise wrong(init.at("checkpoint"), checkpoint, f"{hubs}, leave init_cfg as in _base_, or give init_cfg=None")
    init.note("checkpoint", checkpoint, f"means {network}.{tag}, the weights of ImageNet that Luthier has")
    return Body(network, f"{network}.{tag}", gflops)
