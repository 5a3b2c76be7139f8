"""Configurations of RT-DETRv2 and D-FINE as small as they can be, made by the tests; thirty queries, two layers."""

from collections.abc import Callable
from typing import Any

import transformers as library

transformers: Any = library  # typed in parts only
WIDTHS = [8, 16, 32, 32]
SHARED: dict[str, Any] = {
    "encoder_in_channels": WIDTHS[1:], "decoder_in_channels": [32] * 3, "encoder_hidden_dim": 32, "d_model": 32,
    "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "decoder_layers": 2, "num_queries": 30, "num_denoising": 20, "hidden_expansion": 0.5,
    "freeze_backbone_batch_norms": False, "tie_word_embeddings": False,
}  # fmt: skip


def tiny_rtdetr(classes: int) -> Any:
    body = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=WIDTHS, depths=[1, 1, 1, 1], layer_type="basic", out_indices=[2, 3, 4]
    )
    return transformers.RTDetrV2Config(backbone_config=body, num_labels=classes, **SHARED)


def tiny_dfine(classes: int) -> Any:
    body = transformers.HGNetV2Config(
        hidden_sizes=WIDTHS, stem_channels=[3, 8, 8], stage_in_channels=[8, *WIDTHS[:3]], stage_mid_channels=[8] * 4,
        stage_out_channels=WIDTHS, stage_num_blocks=[1] * 4, stage_numb_of_layers=[1] * 4, out_indices=[2, 3, 4],
    )  # fmt: skip
    return transformers.DFineConfig(
        backbone_config=body, num_labels=classes, depth_mult=0.34, decoder_n_points=[3, 6, 3], **SHARED
    )


TINY: dict[str, Callable[[int], Any]] = {"tiny_rtdetr": tiny_rtdetr, "tiny_dfine": tiny_dfine}
