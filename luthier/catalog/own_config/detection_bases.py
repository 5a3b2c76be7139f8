"""Bases of MMDetection: YOLOF (Chen et al. 2021), Faster R-CNN, RetinaNet, SSD and YOLOX. Next: `bases`, `base_parts`.

Their networks and schedules are those of the papers and of MMDetection's model zoo, the bodies' first stage frozen.
"""

from typing import Any

from luthier.catalog.own_config.base_parts import pictures, resnet, schedule, sgd

Config = dict[str, Any]
RUNTIME: Config = {"log_level": "INFO", "load_from": None, "resume_from": None}
LOADED: list[Config] = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations", "with_bbox": True}]
FLIPPED: Config = {"type": "RandomFlip", "flip_ratio": 0.5}
STEPS_1X, STEPS_2X = {"policy": "step", "step": [8, 11]}, {"policy": "step", "step": [16, 22]}
FPN = {"type": "FPN", "in_channels": [256, 512, 1024, 2048], "out_channels": 256, "num_outs": 5}
KEPT_NORMS = {"frozen_stages": 1, "norm_cfg": {"type": "BN", "requires_grad": True}, "norm_eval": True}


def all_bases() -> dict[str, Config]:
    """By name, without what all names share."""
    coco = pictures([*LOADED, {"type": "Resize", "img_scale": (1333, 800), "keep_ratio": True}, FLIPPED], batch_size=2)
    found = {
        "_base_/default_runtime": RUNTIME,
        "_base_/datasets/coco_detection": coco,
        "_base_/schedules/schedule_1x": _schedule(0.0025, 12),
        "_base_/schedules/schedule_2x": _schedule(0.0025, 24),
    }
    for depth in (50, 101):
        two_stages = {"model": faster_rcnn(depth)}
        for name in (f"faster_rcnn_r{depth}_fpn", f"faster-rcnn_r{depth}_fpn"):
            found[f"_base_/models/{name}"] = two_stages
            for times, epochs in (("1x", 12), ("2x", 24)):
                whole = RUNTIME | coco | two_stages | _schedule(0.0025, epochs)
                found[f"faster_rcnn/{name}_{times}_coco"] = whole
    for depth in (18, 50, 101):
        one_stage = {"model": retinanet(depth)}
        found[f"_base_/models/retinanet_r{depth}_fpn"] = one_stage
        for times, epochs in (("1x", 12), ("2x", 24)):
            whole = RUNTIME | coco | one_stage | _schedule(0.00125, epochs, clip=35.0)
            found[f"retinanet/retinanet_r{depth}_fpn_{times}_coco"] = whole
    for name in ("yolof/yolof_r50_c5_8x8_1x_coco", "yolof/yolof_r50-c5_8xb8-1x_coco"):
        found[name] = yolof()
    for side in (300, 512):
        found[f"ssd/ssd{side}_coco"] = ssd(side)
    for name in ("yolox/yolox_s_8x8_300e_coco", "yolox/yolox_s_8xb8-300e_coco"):
        found[name] = yolox()
    return found


def _schedule(rate: float, epochs: int, clip: float = 0.0) -> Config:
    policy = STEPS_2X if epochs == 24 else STEPS_1X
    return schedule(sgd(rate), epochs=epochs, policy=policy, warmup=(500, 0.001), clip=clip)


def faster_rcnn(depth: int) -> Config:
    return {
        "type": "FasterRCNN",
        "backbone": resnet(depth, out_indices=(0, 1, 2, 3), **KEPT_NORMS),
        "neck": FPN,
        "rpn_head": {"type": "RPNHead", "in_channels": 256, "feat_channels": 256},
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_head": {"type": "Shared2FCBBoxHead", "in_channels": 256, "fc_out_channels": 1024, "num_classes": 80},
        },
    }


def retinanet(depth: int) -> Config:
    anchors = {"type": "AnchorGenerator", "ratios": [0.5, 1.0, 2.0]}
    head = {"type": "RetinaHead", "num_classes": 80, "in_channels": 256, "stacked_convs": 4, "feat_channels": 256}
    return {
        "type": "RetinaNet",
        "backbone": resnet(depth, out_indices=(0, 1, 2, 3), **KEPT_NORMS),
        "neck": FPN | {"start_level": 1, "add_extra_convs": "on_input"},
        "bbox_head": head | {"anchor_generator": anchors},
    }


def yolof() -> Config:
    slower = {"norm_decay_mult": 0.0, "custom_keys": {"backbone": {"lr_mult": 1 / 3}}}
    pipeline = [*LOADED, {"type": "Resize", "img_scale": (1333, 800), "keep_ratio": True}, FLIPPED]
    pipeline.append({"type": "RandomShift", "max_shift_px": 32})
    return {
        **RUNTIME,
        **pictures(pipeline, batch_size=8),
        **schedule(
            sgd(0.015, paramwise_cfg=slower), epochs=12, policy=STEPS_1X, warmup=(1500, 0.00066667), clip=8.0
        ),
        "model": {
            "type": "YOLOF",
            "backbone": resnet(50, out_indices=(3,), **KEPT_NORMS),
            "neck": {"type": "DilatedEncoder", "in_channels": 2048, "out_channels": 512, "num_residual_blocks": 4},
            "bbox_head": {"type": "YOLOFHead", "num_classes": 80, "in_channels": 512},
        },
    }  # fmt: skip


def ssd(side: int) -> Config:
    moved = {"type": "RandomAffine", "scaling_ratio_range": (0.5, 1.5)}
    resized = {"type": "Resize", "img_scale": (side, side), "keep_ratio": False}
    return {
        **RUNTIME,
        **pictures([*LOADED, resized, moved, FLIPPED, {"type": "PhotoMetricDistortion"}], batch_size=8),
        **schedule(sgd(2.5e-4, 5e-4), epochs=24, policy=STEPS_2X, warmup=(500, 0.001)),
        "model": {
            "type": "SingleStageDetector",
            "backbone": {
                "type": "SSDVGG",
                "depth": 16,
                "init_cfg": {"type": "Pretrained", "checkpoint": "open-mmlab://vgg16_caffe"},
            },
            "neck": {"type": "SSDNeck"},
            "bbox_head": {"type": "SSDHead", "num_classes": 80},
        },
    }


def yolox() -> Config:
    pipeline: list[Config] = [
        {"type": "Mosaic", "prob": 0.5},
        {"type": "Resize", "img_scale": (640, 640), "keep_ratio": True},
        {"type": "RandomAffine", "scaling_ratio_range": (0.5, 1.5)},
        {"type": "YOLOXHSVRandomAug"},
        FLIPPED,
    ]
    return {
        **RUNTIME,
        **pictures([*LOADED, *pipeline], batch_size=8),
        **schedule(
            sgd(0.00125, 5e-4, nesterov=True), epochs=300, policy={"policy": "CosineAnnealing"}, warmup=(1000, 0.001)
        ),
        "custom_hooks": [{"type": "ExpMomentumEMAHook", "momentum": 0.0002}],
        "model": {
            "type": "YOLOX",
            "backbone": {"type": "CSPDarknet", "deepen_factor": 0.33, "widen_factor": 0.5},
            "neck": {"type": "YOLOXPAFPN", "in_channels": [128, 256, 512], "out_channels": 128, "num_csp_blocks": 1},
            "bbox_head": {"type": "YOLOXHead", "num_classes": 80, "in_channels": 128, "feat_channels": 128},
        },
    }
