"""What users' own configurations lead to: plan, network, weights and cost; what Luthier does not do is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.catalog.model_type import find_template
from luthier.catalog.own_config import (
    child,
    classifier,
    detector,
    read,
    schedules,
    segmenter,
    training,
    transforms,
)
from luthier.catalog.own_config import (
    words as own_words,
)
from luthier.catalog.own_config.bases import bases_of
from luthier.catalog.template import Template
from luthier.errors import InvalidTrainingParams

TYPES = {
    "mmdetection": "visual-detector",
    "mmclassification": "visual-classifier",
    "mmsegmentation": "visual-segmenter",
}
NAMES = {"mmdetection": "MMDetection", "mmclassification": "MMClassification", "mmsegmentation": "MMSegmentation"}
FILLED_IN = "data = dict(train=dict(ann_file='', classes=''), val=dict(ann_file='', classes=''))\n"
GUIDE = """\
_base_ = '/mmdetection/configs/yolof/yolof_r50_c5_8x8_1x_coco.py'
model = dict(bbox_head=dict(num_classes=0))
data = dict(train=dict(ann_file='', img_prefix='', classes=''), val=dict(ann_file='', img_prefix='', classes=''))
optimizer = dict(_delete_=True, type='Adam', lr=0.0001, weight_decay=0.0001)
lr_config = dict(_delete_=True, policy='CosineAnnealing', warmup='linear', warmup_iters=1000, warmup_ratio=0.1,
    min_lr_ratio=1e-5)
runner = dict(_delete_=True, type='EpochBasedRunner', max_epochs=10)
"""


@pytest.fixture(autouse=True)
def _without_a_process_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_answer", lambda *given: json.loads(json.dumps(child.answer(*given))))


def template(toolbox: str) -> Template:
    return find_template(TYPES[toolbox], NAMES[toolbox])


def values_of(text: str, base: str, **given: Any) -> tuple[Template, dict[str, Any]]:
    """`base` without the beginning and the end that all names share: mmdetection/yolof/yolof_r50…"""
    toolbox, _, name = base.partition("/")
    found = template(toolbox)
    config = f"_base_ = '/{toolbox}/configs/{name}.py'\n{'' if 'dataloader' in text else FILLED_IN}{text}"
    return found, found.checked({"custom_config": config, **given})


def plan(text: str = "", base: str = "mmdetection/yolof/yolof_r50_c5_8x8_1x_coco", **given: Any) -> Any:
    found, values = values_of(text, base, **given)
    return found.plan_for(values)


def network(text: str, base: str) -> tuple[str, str]:
    found, values = values_of(text, base)
    return found.backbone_for(values), found.weights(values)


def refusal(text: str, base: str = "mmdetection/yolof/yolof_r50_c5_8x8_1x_coco") -> str:
    with pytest.raises(InvalidTrainingParams) as caught:
        plan(text, base)
    assert caught.value.details.startswith("train_info.params.custom_config: ")
    return caught.value.details


RETINA, SSD = "mmdetection/retinanet/retinanet_r50_fpn_1x_coco", "mmdetection/ssd/ssd300_coco"
RESNET = "mmclassification/resnet/resnet50_8xb32_in1k"
SEGFORMER = "mmsegmentation/segformer/segformer_mit-b1_8xb2-160k_ade20k-512x512"


def test_the_example_of_the_guide() -> None:
    found = template("mmdetection")
    values = found.checked({"custom_config": GUIDE, "image_size": [800]})
    made: Any = found.plan_for(values)
    assert (made.epochs, made.optimizer, made.learning_rate, made.weight_decay) == (10, "adamw", 1e-4, 1e-4)
    assert (made.schedule, made.warmup_steps, made.warmup_ratio) == ("cosine", 1000, 0.1)
    assert made.final_learning_rate == pytest.approx(1e-9)
    assert (made.image_size, made.prediction_size, made.largest_ratio) == ((800,), (800,), pytest.approx(1333 / 800))
    assert (made.batch_size, made.frozen_stages, made.still_norms, made.clip_gradient_norm) == (8, 1, True, 8.0)
    assert made.backbone_multiplier == 1.0  # _delete_ took paramwise_cfg away
    assert [note for note in made.notes if "Adam" in note] == list(made.notes)
    assert found.weights(values) == "timm/resnet50.tv_in1k"
    assert found.backbone_for(values) == "yolof:timm/resnet50"


def test_the_example_of_the_how_to() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "own-templates.md").read_text(encoding="utf-8")
    found = template("mmdetection")
    text = page.split("```python\n")[1].split("```")[0]
    made = found.plan_for(found.checked({"custom_config": text}))
    assert made == found.plan_for(found.checked({"custom_config": GUIDE}))


@pytest.mark.parametrize("toolbox", TYPES)
def test_every_base_trains_as_it_is(toolbox: str) -> None:
    found = template(toolbox)
    for name in bases_of(toolbox):
        if "/_base_/" not in name:
            values = found.checked({"custom_config": f"_base_ = {name!r}\n{FILLED_IN}"})
            assert not any("ignored" in note for note in found.plan_for(values).notes), name
            assert found.gflops_for(values) > 0.5, name
    values = found.checked({})
    assert found.backbone == found.backbone_for(values)
    assert found.weights(values).startswith("timm/") and found.plan_for(values).notes == ()


def test_both_generations_say_the_same() -> None:
    older = plan(
        "optimizer = dict(lr=0.02)\noptimizer_config = dict(grad_clip=None)\nrunner = dict(max_epochs=20)\n"
        "lr_config = dict(_delete_=True, policy='step', step=[12, 16],\n"
        "    warmup='linear', warmup_iters=9, warmup_ratio=0.5)",
    )
    newer = plan(
        "optim_wrapper = dict(optimizer=dict(lr=0.02), clip_grad=None)\n"
        "train_cfg = dict(max_epochs=20, val_interval=2)\n"
        "param_scheduler = [dict(type='LinearLR', start_factor=0.5, by_epoch=False, begin=0, end=9),\n"
        "    dict(type='MultiStepLR', begin=0, end=20, by_epoch=True, milestones=[12, 16], gamma=0.1)]\n"
        "train_dataloader = dict(batch_size=8, dataset=dict(type='CocoDataset'))\n"
        "val_dataloader = dict(dataset=dict(type='CocoDataset'))"
    )
    assert older == plan(
        "runner = dict(max_epochs=20)\noptimizer = dict(lr=0.02)\noptimizer_config = dict(_delete_=True)\n"
        "lr_config = dict(step=[12, 16], warmup_iters=9, warmup_ratio=0.5)"
    )
    assert (older.epochs, older.step_epochs, older.warmup_steps, older.clip_gradient_norm) == (20, (12, 16), 9, 0.0)
    assert {**vars(older), "notes": ()} == {**vars(newer), "notes": ()}


@pytest.mark.parametrize(
    ("text", "base", "fields"),
    [
        ("data['samples_per_gpu'] = 3", RETINA, {"batch_size": 3}),
        ("optimizer = dict(momentum=0.5, nesterov=True)", RETINA, {"momentum": 0.5, "optimizer": "sgd"}),
        ("optim_wrapper = dict(accumulative_counts=4)", RETINA, {"accumulate": 4}),
        ("lr_config = dict(step=5)\nrunner = dict(max_epochs=12)", RETINA, {"step_epochs": (5, 10)}),
        ("lr_config = dict(_delete_=True, policy='fixed')", RETINA, {"schedule": "constant", "warmup_steps": 0}),
        ("lr_config = dict(_delete_=True, policy='poly', min_lr=1e-5)", RETINA,
         {"schedule": "linear", "final_learning_rate": 1e-5}),
        ("param_scheduler = [dict(type='CosineAnnealingLR', T_max=12)]", RETINA,
         {"schedule": "cosine", "warmup_steps": 0}),
        ("lr_config = dict(step=[8, 40])", RETINA, {"step_epochs": (8,)}),
        ("custom_hooks = [dict(type='EMAHook', momentum=0.001)]", RETINA, {"ema_decay": 0.999}),
        ("model = dict(backbone=dict(frozen_stages=-1, norm_eval=False))", RETINA,
         {"frozen_stages": 0, "still_norms": False}),
        ("model = dict(bbox_head=dict(anchor_generator=dict(ratios=[1.0])))", RETINA, {"anchor_ratios": (1.0,)}),
        ("data['train']['pipeline'] = [dict(type='Resize', img_scale=[(1333, 640), (1333, 800)], keep_ratio=True)]",
         RETINA, {"image_size": (800,), "scale_min": 0.8, "flip_probability": 0.0}),
        ("train_pipeline = [dict(type='Resize', scale=(640, 480), keep_ratio=False),\n"
         "    dict(type='RandomFlip', prob=0.1)]", RETINA,
         {"image_size": (640, 480), "flip_probability": 0.1}),
        ("", SSD, {"image_size": (300, 300), "scale_min": 0.5, "scale_max": 1.5, "color_jitter": 0.3}),
        ("", "mmdetection/yolox/yolox_s_8x8_300e_coco",
         {"mosaic_probability": 0.5, "ema_decay": pytest.approx(0.9998)}),
        ("model = dict(head=dict(loss=dict(_delete_=True, type='LabelSmoothLoss', label_smooth_val=0.2)))", RESNET,
         {"label_smoothing": 0.2}),
        ("train_pipeline = [dict(type='RandomResizedCrop', size=160, scale=(0.5, 1.0)), dict(type='ColorJitter', "
         "brightness=0.4, contrast=0.3, saturation=0.2)]", RESNET,
         {"image_size": 160, "crop_scale_min": 0.5, "color_jitter": 0.2, "brightness_jitter": 0.2,
          "contrast_jitter": pytest.approx(0.1)}),
        ("model = dict(decode_head=dict(dropout_ratio=0.3))", SEGFORMER,
         {"dropout": 0.3, "body": "timm/pvt_v2_b1", "image_size": (512,), "scale_min": 0.5, "scale_max": 2.0,
          "learning_rate": pytest.approx(7.5e-5), "backbone_multiplier": pytest.approx(0.1), "schedule": "linear"}),
        ("train_pipeline = [dict(type='Resize', img_scale=(1024, 512), ratio_range=(0.5, 2.0)), "
         "dict(type='RandomCrop', crop_size=(256, 256))]", SEGFORMER,
         {"image_size": (256,), "scale_min": 1.0, "scale_max": 4.0}),
    ],
)  # fmt: skip
def test_what_is_said_is_what_is_done(text: str, base: str, fields: dict[str, Any]) -> None:
    made = plan(text, base)
    assert {name: getattr(made, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("text", "base", "found"),
    [
        ("model = dict(backbone=dict(depth=101))", RETINA, ("retinanet:timm/resnet101", "timm/resnet101.tv_in1k")),
        ("model = dict(backbone=dict(init_cfg=None))", RETINA, ("retinanet:timm/resnet50", "")),
        ("model = dict(backbone=dict(_delete_=True, type='ResNeXt', depth=101, groups=32, base_width=4, "
         "init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://resnext101_32x4d')))",
         "mmdetection/faster_rcnn/faster_rcnn_r50_fpn_1x_coco",
         ("faster_rcnn:timm/resnext101_32x4d", "timm/resnext101_32x4d.gluon_in1k")),
        ("", SSD, ("ssd:timm/vgg16", "timm/vgg16.tv_in1k")),
        ("model = dict(backbone=dict(init_cfg=None))", "mmdetection/yolox/yolox_s_8x8_300e_coco",
         ("luthier/yolox_s", "")),
        ("", RESNET, ("timm/resnet50.tv_in1k", "timm/resnet50.tv_in1k")),
        ("", "mmclassification/efficientnet/efficientnet-b2_8xb32_in1k",
         ("timm/efficientnet_b2.ra_in1k", "timm/efficientnet_b2.ra_in1k")),
        ("", "mmclassification/mobilenet_v2/mobilenet-v2_8xb32_in1k",
         ("timm/mobilenetv2_100.ra_in1k", "timm/mobilenetv2_100.ra_in1k")),
        ("", SEGFORMER, ("segformer", "timm/pvt_v2_b1.in1k")),
    ],
)  # fmt: skip
def test_the_network_and_what_it_starts_from(text: str, base: str, found: tuple[str, str]) -> None:
    assert network(text, base) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model = dict(neck=dict(out_channels=64))", "model.neck.out_channels is 64; give 512, as it is"),
        ("model = dict(bbox_head=dict(loss_cls=dict(alpha=0.5)))", "model.bbox_head.loss_cls means nothing to Luthier"),
        ("model = dict(backbone=dict(depth=51))", "model.backbone.depth is 51; give one of 18, 34, 50, 101, 152"),
        ("model = dict(backbone=dict(frozen_stages=0))", "backbone.frozen_stages is 0; give -1 for none"),
        ("model = None", "model is missing here or in _base_; build upon one that has it"),
        ("model = dict(type='RetinaNet')", "model.type is 'RetinaNet'; give 'YOLOF'"),
        ("model = dict(bbox_head=dict(_delete_=True, type='YOLOFHead'))", "model.bbox_head.num_classes is missing"),
        ("model = dict(backbone=dict(init_cfg=dict(checkpoint='http://x/y')))",
         "init_cfg.checkpoint is 'http://x/y'; give torchvision://… or open-mmlab://…, leave init_cfg as in _base_, "
         "or give init_cfg=None"),
        ("optimizer = dict(type='Adagrad')", "optimizer.type is 'Adagrad', which is no type that Luthier knows"),
        ("optimizer = dict(lr=-1)", "optimizer.lr is -1; give a number from 0 to 10"),
        ("optimizer = dict(lr=float('nan'))", "optimizer.lr is nan; give a number from 0 to 10"),
        ("optimizer = dict(lr='0.1')", "optimizer.lr is '0.1'; give a number"),
        ("optimizer = dict(weight_decy=1)", "optimizer.weight_decy means nothing to Luthier; did you mean"),
        ("optimizer = 3", "optimizer is 3; give a dict"),
        ("optimizer = dict(_delete_=True, type='Adam')", "optimizer.lr is missing; give a learning rate"),
        ("param_scheduler = [dict(type='CosineAnnealingLR', begin=6, T_max=6)]", "param_scheduler[0].T_max is 6"),
        ("param_scheduler = [dict(type='MultiStepLR', begin=6, milestones=[8])]", "param_scheduler[0].begin is 6"),
        ("optim_wrapper = dict()\noptimizer = dict(lr=1)", "optim_wrapper stands beside optimizer"),
        ("lr_config = dict(policy='CosineRestart')", "lr_config.policy is 'CosineRestart'; give one of step"),
        ("lr_config = dict(warmup='exp')", "lr_config.warmup is 'exp'; give 'linear' or None"),
        ("param_scheduler = [dict(type='ConstantLR')]", "param_scheduler[0].type is 'ConstantLR'; give LinearLR"),
        ("param_scheduler = [dict(type='CosineAnnealingLR', T_max=99)]", "param_scheduler[0].T_max is 99; give 12"),
        ("runner = dict(_delete_=True, type='IterBasedRunner', max_iters=9)", "runner counts iterations"),
        ("runner = dict(max_epochs=0)", "runner.max_epochs is 0; give a number from 1 to 1000"),
        ("load_from = 'http://x/y.pth'", "load_from is 'http://x/y.pth'; give None, or leave it out"),
        ("data = dict(train=dict(ann_file=''))", "data.val is missing; give data = dict(train="),
        ("data = dict(val=dict(ann_file=''))", "data.train is missing"),
        ("data['train'].update(type='RepeatDataset', times=3)", "'RepeatDataset', which is no type that Luthier knows"),
        ("data['train']['pipeline'] = [dict(type='Albu')]", "data.train.pipeline[0].type is 'Albu', which is no type"),
        ("train_pipeline = [dict(type='RandomCrop', crop_size=9)]", "train_pipeline[0].type is 'RandomCrop'; give"),
        ("train_pipeline = []", "train_pipeline does not say how large pictures are; give dict(type='Resize', "),
        ("data['train']['pipeline'] = []", "data.train.pipeline does not say how large pictures are"),
        ("optimiser = dict(lr=1)", "optimiser means nothing to Luthier; did you mean optimizer? Else leave it out"),
        ("lr_config = dict(by_epoch=False)", "lr_config.by_epoch is False; give True, or leave it out"),
        ("custom_hooks = [dict(type='EMAHook', ema_type='StochasticWeightAverage')]", "custom_hooks[0].ema_type is"),
        ("custom_hooks = [dict(type='SyncNormHook'), dict(type='EvalHook')]", "custom_hooks[1].type is 'EvalHook'"),
    ],
)  # fmt: skip
def test_what_luthier_does_not_do_is_refused_by_its_path(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("custom_imports = dict(imports=['os'], allow_failed_imports=False)", "custom_imports is not available"),
        ("optimizer = dict(type='os.system')", "optimizer.type is 'os.system', which is no type that Luthier knows"),
        ("model = dict(backbone=dict(type='torch.hub.load'))", "model.backbone.type is 'torch.hub.load'"),
        ("log_config = dict(hooks=[dict(type='os.system')])", "log_config.hooks[0].type is 'os.system'"),
        ("anything = [dict(x=dict(type=['os.system']))]", "anything[0].x.type is ['os.system']"),
    ],
)
def test_bad_H18_types_are_of_a_list_and_nothing_is_imported(text: str, words: str) -> None:
    assert words in refusal(text)


def test_the_list_has_every_type_that_is_read_or_stands_in_a_base() -> None:
    readers = (detector.READERS, classifier.READERS, segmenter.READERS, training.OPTIMIZERS, schedules.SCHEDULERS)
    read_ones = {*transforms.SILENT, *(name for names in readers for name in names)}
    assert read_ones <= own_words.TYPES
    for toolbox in TYPES:
        own_words.check_types(json.loads(json.dumps(bases_of(toolbox))))


def test_bad_H19_paths_of_data_are_ignored_and_told() -> None:
    made = plan(
        "data = dict(train=dict(ann_file='/secret', img_prefix='/etc', classes=('a',)), val=dict(ann_file='/secret'))\n"
        "log_config = dict(interval=5)\ntta_model = dict(type='DetTTAModel')\n"
        "helper = 1\nused = 2\nrunner = dict(max_epochs=used)"
    )
    why = "is ignored: pictures and labels come from the dataset of the training"
    for name in ("data.train.ann_file", "data.train.img_prefix", "data.train.classes", "data.val.ann_file"):
        assert f"custom_config: {name} {why}" in made.notes
    assert "custom_config: log_config is ignored: Luthier keeps the log" in made.notes
    assert "custom_config: tta_model is ignored: the hyperparameter image_size holds" in made.notes
    assert "custom_config sets names of your own that nothing reads: helper" in made.notes
    assert not any("used" in note for note in made.notes)
    assert not any("/secret" in note for note in made.notes)


@pytest.mark.parametrize(
    ("text", "base", "words"),
    [
        ("train_pipeline = [dict(type='RandomResizedCrop', size=224, scale=('a', 1))]", RESNET, "scale is ['a', 1];"),
        ("train_pipeline = [dict(type='RandomResizedCrop', size=224, scale=(None, 1))]", RESNET, "scale is [None, 1];"),
        ("train_pipeline = [dict(type='RandomResizedCrop', size=224), dict(type='ColorJitter', saturation=0.5)]",
         RESNET, "train_pipeline[1].saturation is 0.5; give at most as much as brightness and contrast"),
        ("train_pipeline = [dict(type='Resize', scale=(64, 64)),\n"
         "    dict(type='RandomAffine', scaling_ratio_range=(0.01, 2))]", RETINA,
         "scaling_ratio_range is [0.01, 2]; give two numbers from 0.05 to 20 that rise"),
        ("train_pipeline = [dict(type='Resize', size=224), dict(type='RandomFlip'),\n"
         "    dict(type='RandomFlip', direction='vertical')]", RESNET,
         "train_pipeline[2] is RandomFlip, and train_pipeline[1] says the same kind of change; give one of them"),
        ("train_pipeline = [dict(type='Resize', scale=(64, 64)), dict(type='RandomShift', max_shift_px=33)]", RETINA,
         "max_shift_px of RandomShift is more than half of the shorter side"),
        ("train_pipeline = [dict(type='Resize', scale=(64, 64), keep_ratio='no')]", RETINA, "keep_ratio is 'no';"),
        ("train_pipeline = [dict(type='Resize', scale=[(64, 64), (96, 96)]), dict(type='RandomAffine')]", RETINA,
         "train_pipeline[1] zooms, and so does a transform before it"),
        ("train_pipeline = [dict(type='Resize', scale=(64, 64)), dict(type='RandomAffine', max_translate_ratio=0.1),\n"
         "    dict(type='RandomShift')]", RETINA, "train_pipeline[2] shifts, and so does RandomAffine before it"),
        ("train_pipeline = [dict(type='Resize', scale=(64, 64)), dict(type='RandomShift'),\n"
         "    dict(type='RandomAffine', max_translate_ratio=0.1)]", RETINA, "_ratio stands beside RandomShift"),
        ("model = dict(backbone=dict(norm_eval=0))", RETINA, "norm_eval is 0; give True or False"),
        ("lr_config = dict(step=[True])", RETINA, "lr_config.step is [True]; give a list of epochs"),
        ("lr_config = dict(step=[1] * 101)", RETINA, "lr_config.step names 101 epochs; give at most 100"),
        ("param_scheduler = [dict(type='MultiStepLR', milestones=8)]", RETINA, "param_scheduler[0].milestones is 8;"),
    ],
)  # fmt: skip
def test_what_would_fail_or_pass_silently_later_is_refused(text: str, base: str, words: str) -> None:
    assert words in refusal(text, base)


def test_hints_name_no_names_of_the_users_own() -> None:
    assert "helper" not in refusal(f"{FILLED_IN}helper = 1\nval_dataloader = dict()")


def test_what_stands_for_something_else_is_told() -> None:
    made = plan("data['val'].update(oddity=1, pipeline=[1])\nmodel = dict(backbone=dict(init_cfg=dict("
                "checkpoint='torchvision://resnet18')))")  # fmt: skip
    assert "custom_config: of data.val is ignored: oddity; nothing is learnt from this data" in made.notes
    assert (
        "custom_config: model.backbone.init_cfg.checkpoint means timm/resnet50.tv_in1k, the weights of ImageNet that "
        "Luthier has" in made.notes
    )


def test_the_rate_of_the_head_is_that_of_all_but_the_backbone() -> None:
    made = plan("optimizer = dict(paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=2))))", RETINA)
    assert (made.learning_rate, made.backbone_multiplier) == (0.0025, 0.5)
    where = "custom_config: optimizer.paramwise_cfg.custom_keys.head.lr_mult"
    assert f"{where} is of all that is not the backbone, a neck too" in made.notes
    assert not any("lr_mult" in note for note in plan("", SEGFORMER).notes)


def test_what_another_pipeline_takes_the_place_of_is_told() -> None:
    said = "train_pipeline = [dict(type='Resize', scale=(64, 64))]\n"
    made = plan(f"{said}data['train']['pipeline'] = [dict(type='Resize', scale=(96, 96))]")
    assert "custom_config: train_pipeline is ignored: data.train.pipeline holds" in made.notes
    assert made.image_size == (96,)
    made = plan(f"{said}data['train']['pipeline'] = train_pipeline")
    assert not any("train_pipeline" in note for note in made.notes) and made.image_size == (64,)


def test_a_random_start_leaves_nothing_behind() -> None:
    made = plan("model = dict(backbone=dict(init_cfg=None))")
    assert (made.frozen_stages, made.still_norms, made.backbone_multiplier) == (0, False, 1.0)
    said = "custom_config: model.backbone starts at random, so all of it learns, as fast as the head"
    assert said in made.notes and said not in plan().notes


def test_sizes_that_lie_far_apart_are_told() -> None:
    assert any("learns from pictures of 800 pixels, and image_size predicts at 320" in note for note in plan().notes)
    assert plan(image_size=[800]).notes == ()
    found, values = values_of("", RETINA, image_size=[100])
    assert found.gflops_for(values) == pytest.approx(296.3, rel=0.01)  # of training, whatever prediction's size


def test_a_classifier_learns_as_its_concepts_are() -> None:
    assert not plan("", RESNET).mutually_exclusive
    assert plan("", RESNET, concepts_mutually_exclusive=True).mutually_exclusive
    assert plan("", RESNET, image_size=[300, 200]).prediction_size == (300, 200)
