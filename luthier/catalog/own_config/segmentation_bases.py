"""Bases of MMSegmentation: SegFormer (Xie et al. 2021) of size b0 to b2. Next: `bases`, `base_parts`.

The toolbox counts iterations, Luthier epochs: a hundred, about as many pictures as were published.
"""

from typing import Any

from luthier.catalog.own_config.base_parts import pictures, schedule

Config = dict[str, Any]
DATASETS = {  # scale and crop of the pictures, pictures per device, and what the names say of it, old and new
    "ade20k": ((2048, 512), 512, 2, "{size}_512x512_160k_ade20k", "{size}_8xb2-160k_ade20k-512x512"),
    "cityscapes": (
        *((2048, 1024), 1024, 1),
        *("{size}_8x1_1024x1024_160k_cityscapes", "{size}_8xb1-160k_cityscapes-1024x1024"),
    ),
}
WIDTHS = {"b0": 256, "b1": 256, "b2": 768}  # of the decoder, by size
EPOCHS = 100


def all_bases() -> dict[str, Config]:
    """By name, without what all names share."""
    found = {}
    for size in WIDTHS:
        for scale, side, batch_size, *patterns in DATASETS.values():
            for pattern in patterns:
                name = pattern.format(size=f"segformer_mit-{size}")
                found[f"segformer/{name}"] = segformer(size, scale, side, batch_size)
    return found


def segformer(size: str, scale: tuple[int, int], side: int, batch_size: int) -> Config:
    multiples = {"pos_block": {"decay_mult": 0.0}, "norm": {"decay_mult": 0.0}, "head": {"lr_mult": 10.0}}
    optimizer = {
        **{"type": "AdamW", "lr": 7.5e-6, "betas": (0.9, 0.999), "weight_decay": 0.01},
        "paramwise_cfg": {"custom_keys": multiples},
    }
    pipeline: list[Config] = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "Resize", "img_scale": scale, "ratio_range": (0.5, 2.0)},
        {"type": "RandomCrop", "crop_size": (side, side), "cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        {"type": "PhotoMetricDistortion"},
    ]
    return {
        **{"log_level": "INFO", "load_from": None, "resume_from": None},
        **pictures(pipeline, batch_size),
        **schedule(
            optimizer, epochs=EPOCHS, policy={"policy": "poly", "power": 1.0, "min_lr": 0.0}, warmup=(1500, 1e-6)
        ),
        "model": {
            "type": "EncoderDecoder",
            "backbone": {
                "type": "MixVisionTransformer",
                "arch": size,
                "init_cfg": {"type": "Pretrained", "checkpoint": f"open-mmlab://mit_{size}"},
            },
            "decode_head": {
                "type": "SegformerHead",
                "channels": WIDTHS[size],
                "dropout_ratio": 0.1,
                "num_classes": 150,
            },
        },
    }
