"""RT-DETRv2 (Lv et al. 2024) and D-FINE (Peng et al. 2025) of transformers: each of a few hundred queries finds one
object or none, matched to the labelled ones one to one, so that no box need be thrown away afterwards.

Their configurations stand here: of published weights nothing but tensors is read. Next: `networks`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import box_convert, clip_boxes_to_image, remove_small_boxes

from luthier.engine.detection.detector import Choice, Detector, Found, Target
from luthier.engine.rows import Rows, plain_rows
from luthier.errors import CorruptFile

Tensor = torch.Tensor
Tensors = dict[str, Tensor]
BODY = "model.backbone.model."
CONSTANTS = (".up", ".reg_scale")  # D-FINE's, which are parameters and yet not learnt


def rtdetrv2_r18(classes: int) -> Any:
    """As published: PekingU/rtdetr_v2_r18vd, 20 million parameters."""
    transformers = _transformers()
    body = transformers.RTDetrResNetConfig(
        hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2], layer_type="basic", out_indices=[2, 3, 4]
    )
    return transformers.RTDetrV2Config(
        backbone_config=body,
        encoder_in_channels=[128, 256, 512],
        hidden_expansion=0.5,
        decoder_layers=3,
        **_ours(classes),
    )


def dfine_small(classes: int) -> Any:
    """As published: ustc-community/dfine-small-coco, 10 million parameters."""
    transformers = _transformers()
    body = transformers.HGNetV2Config(
        hidden_sizes=[128, 256, 512, 1024],
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, 64, 256, 512],
        stage_mid_channels=[16, 32, 64, 128],
        stage_out_channels=[64, 256, 512, 1024],
        stage_num_blocks=[1, 1, 2, 1],
        stage_numb_of_layers=[3, 3, 3, 3],
        use_learnable_affine_block=True,
        out_indices=[2, 3, 4],
    )
    return transformers.DFineConfig(
        backbone_config=body,
        encoder_in_channels=[256, 512, 1024],
        hidden_expansion=0.5,
        depth_mult=0.34,
        decoder_layers=3,
        decoder_n_points=[3, 6, 3],
        **_ours(classes),
    )


def _transformers() -> Any:
    """The library, which takes seconds to import, without its bars and tables in the training log."""
    import transformers as library

    transformers: Any = library  # typed in parts only
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _ours(classes: int) -> dict[str, Any]:
    """Norms stay ordinary ones, which `QueryDetector` keeps still where told; no two layers share their weights."""
    return {"num_labels": classes, "freeze_backbone_batch_norms": False, "tie_word_embeddings": False}


class QueryDetector(Detector):
    """The network of a configuration, random or with published tensors, whose concepts are left aside.

    Raises CorruptFile where tensors are missing or have another shape.
    """

    ends_of_stages = (BODY + "embedder", *(f"{BODY}encoder.stages.{stage}" for stage in range(4)))

    def __init__(self, config: Any, tensors: Tensors | None = None, still_norms: bool = False) -> None:
        super().__init__()
        whole, self._loss = _kind_of(config)
        self.classes = int(config.num_labels)
        self.choice = Choice(least_value=0.02)
        self.config = config
        self.still_norms = still_norms
        self.model = _random(whole, config) if tensors is None else _loaded(whole, config, tensors)
        for projection in self.model.get_submodule("decoder_input_proj").children():
            projection.register_forward_hook(_in_float32)

    def get_classifier(self) -> nn.Module:
        return nn.ModuleList(part for name, part in self.model.named_children() if name != "backbone")

    def train(self, mode: bool = True) -> "QueryDetector":
        super().train(mode)
        if self.still_norms:
            for module in self.model.get_submodule("backbone").modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def freeze(self) -> None:
        for name, parameter in self.named_parameters():
            if name.endswith(CONSTANTS):
                parameter.requires_grad_(False)

    def loss(self, images: Tensor, targets: list[Target]) -> Tensor:
        """Of the published criterion: matched boxes, values by overlap, and noisy copies of the labelled boxes."""
        scale = _sides(images)
        labels = [
            {"class_labels": one.concepts, "boxes": box_convert(one.boxes / scale, "xyxy", "cxcywh")} for one in targets
        ]
        said = self.model(pixel_values=images, labels=labels)
        logits: Tensor = said.intermediate_logits.float()
        boxes: Tensor = said.intermediate_reference_points.float()
        if not bool(logits.isfinite().all() and boxes.isfinite().all()):
            return logits.sum() + boxes.sum()  # not finite either: the loop stops there and says so
        more = {
            name: None if value is None else value.float()
            for name, value in {
                "enc_topk_logits": said.enc_topk_logits,
                "enc_topk_bboxes": said.enc_topk_bboxes,
                "predicted_corners": said.intermediate_predicted_corners,
                "initial_reference_points": said.initial_reference_points,
            }.items()
        }
        loss: Tensor = self._loss(
            logits[:, -1],
            labels,
            images.device,
            boxes[:, -1],
            self.config,
            logits,
            boxes,
            denoising_meta_values=said.denoising_meta_values,
            **more,
        )[0]
        return loss

    def detect(self, images: Tensor, sizes: list[tuple[int, int]]) -> list[Found]:
        said = self.model(pixel_values=images)
        values = said.intermediate_logits[:, -1].float().sigmoid()
        boxes = box_convert(said.intermediate_reference_points[:, -1].float(), "cxcywh", "xyxy") * _sides(images)
        return [self._best(*one) for one in zip(boxes, values, sizes, strict=True)]

    def _best(self, boxes: Tensor, values: Tensor, size: tuple[int, int]) -> Found:
        """The surest pairs of query and concept: queries do not repeat each other, so all of them stay."""
        flat = values.flatten()
        best = flat.topk(min(self.choice.most, len(flat)))
        kept = best.indices[best.values > self.choice.least_value]
        chosen = clip_boxes_to_image(boxes[kept // self.classes], size)
        large = remove_small_boxes(chosen, 1.0)
        return Found(chosen[large], flat[kept][large], (kept % self.classes)[large])

    def concept_rows(self, classes: int) -> dict[str, Rows]:
        """Heads of every layer; what stands for a labelled object among the noisy ones has a row for none of them."""
        names = {name for name, _ in self.named_parameters()}
        found = {name: plain_rows(classes) for name in names if ".class_embed." in name or ".enc_score_head." in name}
        noisy = "model.denoising_class_embed.weight"
        if noisy in names:
            found[noisy] = Rows(torch.arange(classes).view(-1, 1), torch.tensor([classes]))
        return found


def _sides(images: Tensor) -> Tensor:
    """Width, height, width, height: boxes within the network are shares of the padded picture."""
    height, width = images.shape[2:]
    return torch.tensor([width, height, width, height], device=images.device, dtype=torch.float32)


def _in_float32(module: nn.Module, given: tuple[Tensor, ...], maps: Tensor) -> Tensor:
    """The library refines boxes in the precision of the maps; bfloat16 has 128 places in half a picture."""
    return maps.float()


def _kind_of(config: Any) -> tuple[Any, Callable[..., Any]]:
    """The class of the whole network and its criterion."""
    transformers = _transformers()
    from transformers.loss import loss_d_fine, loss_rt_detr

    if config.model_type == "d_fine":
        return transformers.DFineForObjectDetection, loss_d_fine.DFineForObjectDetectionLoss
    return transformers.RTDetrV2ForObjectDetection, loss_rt_detr.RTDetrForObjectDetectionLoss


def _random(whole: Any, config: Any) -> nn.Module:
    """The library starts norms near zero, as weights are to come from a file: a random network would not learn."""
    network: nn.Module = whole(config).model
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            nn.init.ones_(module.weight)
    return network


def _loaded(whole: Any, config: Any, tensors: Tensors) -> nn.Module:
    known = {_inner(name, tensors): tensor for name, tensor in tensors.items()}
    known = {name: tensor for name, tensor in known.items() if not _of_concepts(name)}
    try:
        network, said = whole.from_pretrained(
            None, config=config, state_dict=known, dtype=torch.float32, output_loading_info=True
        )
    except RuntimeError as error:  # of other shapes
        raise CorruptFile(f"the weights do not fit {config.model_type}: {error}") from error
    missing = sorted(name for name in said["missing_keys"] if not _needless(name))
    if missing:
        raise CorruptFile(
            f"the weights do not fit {config.model_type}: {len(missing)} tensors missing, as {', '.join(missing[:3])}"
        )
    found: nn.Module = network.model
    return found


def _inner(name: str, tensors: Tensors) -> str:
    """Heads are published under one of two names, or both."""
    inner = f"model.decoder.{name}"
    return inner if name.startswith(("class_embed.", "bbox_embed.")) and inner not in tensors else name


def _of_concepts(name: str) -> bool:
    return any(part in name for part in ("class_embed", "enc_score_head"))


def _needless(name: str) -> bool:
    """What a fresh head replaces, what stands for the same tensor, and counters."""
    return _of_concepts(name) or name.startswith("bbox_embed.") or name.endswith("num_batches_tracked")
