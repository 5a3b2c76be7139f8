"""Bases of MMClassification: ResNet, ResNeXt, EfficientNet and MobileNetV2 on ImageNet. Next: `bases`, `base_parts`.

Unlike the toolbox's they begin with weights of ImageNet: a user's own pictures are few. `init_cfg=None` begins anew.
"""

from typing import Any

from luthier.catalog.own_config.base_parts import pictures, resnet, schedule, sgd

Config = dict[str, Any]
RUNTIME: Config = {"log_level": "INFO", "load_from": None, "resume_from": None}
PRETRAINED = {"type": "Pretrained", "checkpoint": "open-mmlab://imagenet"}
SCHEDULE = schedule(sgd(0.0125), epochs=100, policy={"policy": "step", "step": [30, 60, 90]})
EFFICIENTNET_SIDES = {"b0": 224, "b1": 240, "b2": 260, "b3": 300, "b4": 380}
RESNEXTS = ((50, 4), (101, 4), (101, 8))  # depth, width of each of 32 groups


def all_bases() -> dict[str, Config]:
    """By name, without what all names share."""
    imagenet = _pictures(224)
    found: dict[str, Config] = {
        "_base_/default_runtime": RUNTIME,
        "_base_/datasets/imagenet_bs32": imagenet,
        "_base_/schedules/imagenet_bs256": SCHEDULE,
    }

    def add(model: str, network: Config, side: int, *names: str) -> None:
        found[f"_base_/models/{model}"] = {"model": network}
        for name in names:
            found[name] = RUNTIME | SCHEDULE | _pictures(side) | {"model": network}

    for depth in (18, 34, 50, 101, 152):
        name = f"resnet{depth}"
        network = classifier(resnet(depth, out_indices=(3,)), 512 if depth < 50 else 2048)
        add(name, network, 224, f"resnet/{name}_8xb32_in1k", f"resnet/{name}_b32x8_imagenet")
    for depth, width in RESNEXTS:
        body = {"type": "ResNeXt", "depth": depth, "groups": 32, "width_per_group": width, "init_cfg": PRETRAINED}
        new, old = f"resnext{depth}-32x{width}d", f"resnext{depth}_32x{width}d"
        add(old, classifier(body, 2048), 224, f"resnext/{new}_8xb32_in1k", f"resnext/{old}_b32x8_imagenet")
    for arch, side in EFFICIENTNET_SIDES.items():
        body = {"type": "EfficientNet", "arch": arch, "init_cfg": PRETRAINED}
        add(f"efficientnet_{arch}", classifier(body, 1280), side, f"efficientnet/efficientnet-{arch}_8xb32_in1k")
    body = {"type": "MobileNetV2", "widen_factor": 1.0, "init_cfg": PRETRAINED}
    names = ("mobilenet_v2/mobilenet-v2_8xb32_in1k", "mobilenet_v2/mobilenet_v2_b32x8_imagenet")
    add("mobilenet_v2_1x", classifier(body, 1280), 224, *names)
    return found


def _pictures(side: int) -> Config:
    cropped = {"type": "RandomResizedCrop", "size": side}
    flipped = {"type": "RandomFlip", "flip_prob": 0.5, "direction": "horizontal"}
    return pictures([{"type": "LoadImageFromFile"}, cropped, flipped], batch_size=32)


def classifier(body: Config, width: int) -> Config:
    return {
        "type": "ImageClassifier",
        "backbone": body,
        "neck": {"type": "GlobalAveragePooling"},
        "head": {
            "type": "LinearClsHead",
            "num_classes": 1000,
            "in_channels": width,
            "loss": {"type": "CrossEntropyLoss", "loss_weight": 1.0},
            "topk": (1, 5),
        },
    }
