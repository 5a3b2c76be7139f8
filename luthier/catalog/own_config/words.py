"""Words of the toolboxes that are harmless here: keys that change nothing, and every `type` there may be.

What is read stands with who reads it: `training`, `transforms` and the templates' own. Next: `section`.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from luthier.catalog.own_config.section import refuse
from luthier.errors import shown

WHY_IGNORED = {  # names at the top of what Luthier does in its own way
    "Luthier keeps the log": "log_config log_level log_processor vis_backends visualizer",
    "Luthier keeps the checkpoints": "checkpoint_config default_hooks work_dir",
    "Luthier sees to the device": "dist_params env_cfg launcher gpu_ids device fp16 "
    "cudnn_benchmark opencv_num_threads mp_start_method",
    "it has no meaning here": "find_unused_parameters default_scope workflow",
    "Luthier judges each epoch": "evaluation val_evaluator test_evaluator val_cfg test_cfg",
    "the hyperparameter seed holds": "seed randomness",
    "the hyperparameter image_size holds": "test_dataloader test_pipeline val_pipeline tta_model tta_pipeline",
    "Luthier brings data and colours": "dataset_type data_root img_norm_cfg data_preprocessor",
    "only what model and data say of it holds": "norm_cfg crop_size checkpoint",
}
IGNORED = {name: why for why, names in WHY_IGNORED.items() for name in names.split()}
READ = (  # at the top, by `training`, `transforms` and the templates' own
    *("optimizer", "optimizer_config", "lr_config", "runner", "total_epochs", "optim_wrapper", "param_scheduler"),
    *("train_cfg", "data", "train_dataloader", "val_dataloader", "train_pipeline", "custom_hooks", "model"),
    *("load_from", "resume_from", "resume", "auto_scale_lr", "custom_imports"),
)
EVERY_TYPE = """
SGD Adam AdamW Lamb LAMB Lion OptimWrapper AmpOptimWrapper
LinearLR ConstantLR MultiStepLR StepLR CosineAnnealingLR PolyLR
EpochBasedRunner EpochBasedTrainLoop IterBasedRunner IterBasedTrainLoop ValLoop TestLoop
OptimizerHook Fp16OptimizerHook EMAHook ExpMomentumEMAHook LinearMomentumEMAHook NumClassCheckHook SyncNormHook
CheckpointHook LoggerHook TextLoggerHook TensorboardLoggerHook WandbLoggerHook MMDetWandbHook MlflowLoggerHook
IterTimerHook ParamSchedulerHook DistSamplerSeedHook EvalHook
DetVisualizationHook SegVisualizationHook VisualizationHook
LocalVisBackend TensorboardVisBackend WandbVisBackend LogProcessor
DetLocalVisualizer SegLocalVisualizer UniversalVisualizer ClsVisualizer
DefaultSampler InfiniteSampler AspectRatioBatchSampler pseudo_collate default_collate
CocoDataset VOCDataset CustomDataset ImageNet ADE20KDataset CityscapesDataset BaseSegDataset BaseDetDataset
CocoMetric VOCMetric Accuracy IoUMetric
LoadImageFromFile LoadAnnotations Resize RandomResize RandomChoiceResize ResizeEdge RandomFlip
RandomCrop CenterCrop RandomResizedCrop RandomAffine RandomShift Mosaic
MultiScaleFlipAug TestTimeAug DetTTAModel SegTTAModel
ColorJitter PhotoMetricDistortion YOLOXHSVRandomAug Normalize Pad
DefaultFormatBundle Collect ImageToTensor ToTensor PackDetInputs PackInputs PackClsInputs PackSegInputs
ImgDataPreprocessor DetDataPreprocessor ClsDataPreprocessor SegDataPreProcessor
YOLOF FasterRCNN RetinaNet SingleStageDetector YOLOX ImageClassifier EncoderDecoder
Pretrained ResNet ResNeXt SSDVGG CSPDarknet EfficientNet MobileNetV2 MixVisionTransformer BN SyncBN
FPN DilatedEncoder SSDNeck YOLOXPAFPN GlobalAveragePooling
RPNHead StandardRoIHead Shared2FCBBoxHead RetinaHead AnchorGenerator YOLOFHead SSDHead YOLOXHead
LinearClsHead SegformerHead CrossEntropyLoss LabelSmoothLoss
"""
TYPES = frozenset(EVERY_TYPE.split())


def check_types(config: Any) -> None:
    """Raises InvalidTrainingParams for a `type` that is not in TYPES, wherever it stands."""
    for path, name in _types(config, ""):
        if not isinstance(name, str) or name not in TYPES:
            near = difflib.get_close_matches(str(name)[:100], TYPES, n=3, cutoff=0.5)
            hint = f"; the nearest are {', '.join(near)}" if near else ""
            refuse(path, f"is {shown(ascii(name))}, which is no type that Luthier knows{hint}")


def _types(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name == "type":
                yield f"{path}.type".lstrip("."), item
            else:
                yield from _types(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _types(item, f"{path}[{place}]")
