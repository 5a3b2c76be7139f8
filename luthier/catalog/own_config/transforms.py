"""The pipeline of training pictures -> fields of a plan. Next: `training`.

What loads, packs and colours pictures is Luthier's own and passes without a word.
"""

from collections.abc import Callable
from typing import Any

from luthier.catalog.own_config.read import OwnConfig
from luthier.catalog.own_config.section import Section, checked_number, refuse, wrong
from luthier.catalog.own_config.training import averaging, fields_of

Fields = dict[str, Any]
SMALLEST, LARGEST = 32, 4096  # pixels of a side
SILENT = (
    *("LoadImageFromFile", "LoadAnnotations", "Normalize", "Pad", "DefaultFormatBundle", "Collect"),
    *("ImageToTensor", "ToTensor", "PackDetInputs", "PackInputs", "PackClsInputs", "PackSegInputs"),
)
PLACES = (  # of data that the platform fills in
    *("type", "ann_file", "img_prefix", "data_prefix", "seg_prefix", "img_dir", "ann_dir", "data_root", "classes"),
    *("metainfo", "palette", "img_suffix", "seg_map_suffix", "split", "test_mode", "reduce_zero_label"),
)
LOADING = ("workers_per_gpu", "num_workers", "persistent_workers", "pin_memory", "sampler", "batch_sampler", "shuffle")
EXAMPLE = (
    "give data = dict(train=dict(ann_file='', classes=''), val=dict(ann_file='', classes='')), which Luthier fills in, "
    "or train_dataloader and val_dataloader, each with a dataset"
)
THE_DATASET = "pictures and labels come from the dataset of the training"
Read = Callable[[Section, Fields], None]  # changes the fields


def learnt(top: Section, own: OwnConfig, readers: dict[str, Read], sized_by: str) -> Fields:
    """All that is said beside the model; what nobody has read by then is refused. `sized_by`: a transform, for example,
    that says how large pictures are."""
    batch_size, pipeline, transforms = _data_fields(top, own)
    fields = fields_of(top, own) | averaging(top) | {"batch_size": batch_size} | _each(transforms, readers)
    top.end()
    if "image_size" not in fields:
        refuse(pipeline, f"does not say how large pictures are; give {sized_by}")
    return fields


def _data_fields(top: Section, own: OwnConfig) -> tuple[int, str, list[Section]]:
    """The batch size, where the pipeline of training pictures stands, and its transforms. Raises InvalidTrainingParams
    where the platform has no place to put its data."""
    older, newer = top.section("data"), top.section("train_dataloader")
    if newer is not None and "train_dataloader" in own.given:
        chosen, size = newer, newer.whole("batch_size", 1, 256, 2)
        train, judged = newer.section("dataset"), top.section("val_dataloader")
        names = ("train_dataloader.dataset", "val_dataloader")
    elif older is not None:
        chosen, size = older, older.whole("samples_per_gpu", 1, 256, 2)
        train, judged = older.section("train"), older.section("val")
        names = ("data.train", "data.val")
        if test := older.section("test"):
            _judged(test)
    else:
        refuse("data", f"is missing; {EXAMPLE}")
    if train is None or judged is None:
        refuse(names[0 if train is None else 1], f"is missing; {EXAMPLE}")
    pipeline = _pipeline(top, own, train)
    train.ignore(PLACES, THE_DATASET)
    train.ignore(("filter_empty_gt", "filter_cfg"), "pictures without labels are background")
    train.end()
    _judged(judged)
    chosen.ignore(LOADING, "Luthier sees to the loading")
    chosen.end()
    return size, *pipeline


def _pipeline(top: Section, own: OwnConfig, train: Section) -> tuple[str, list[Section]]:
    """That of the data, else train_pipeline."""
    if "pipeline" not in train:
        return top.at("train_pipeline"), top.sections("train_pipeline")
    where = train.at("pipeline")
    usual = top.take("train_pipeline")
    if "train_pipeline" in own.unread:
        top.note("train_pipeline", usual, f"is ignored: {where} holds")
    return where, train.sections("pipeline")


def _judged(section: Section) -> None:
    """Of data that is not learnt from: nothing there changes what is learnt."""
    inner = section.section("dataset") or section
    inner.ignore(PLACES, THE_DATASET)
    inner.ignore(("pipeline",), "the hyperparameter image_size says how pictures are seen in prediction")
    for one in (section, inner):
        one.ignore_the_rest("nothing is learnt from this data")


def _each(transforms: list[Section], readers: dict[str, Read]) -> Fields:
    """What `readers`, one for each type, make of the transforms, in their order."""
    fields: Fields = {"flip_probability": 0.0}
    seen: dict[Read, str] = {}
    for one in transforms:
        kind = one.take("type")
        if kind in SILENT:
            continue
        if kind not in readers:
            refuse(f"{one.path}.type", f"is {kind!a}; give one of {', '.join((*readers, *SILENT))}")
        if before := seen.get(readers[kind]):
            refuse(one.path, f"is {kind}, and {before} says the same kind of change; give one of them")
        seen[readers[kind]] = one.path
        readers[kind](one, fields)
        one.end()
    return fields


def flip(one: Section, fields: Fields) -> None:
    names = ("flip_ratio", "flip_prob", "prob")
    given = next((name for name in names if name in one), names[-1])
    fields["flip_probability"] = one.number(given, 0, 1, 0.5)
    fields["flip_direction"] = one.choice(
        "direction", {"horizontal": "horizontal", "vertical": "vertical"}, "horizontal"
    )


def colours(one: Section, fields: Fields) -> None:
    """Of the two that are known by name alone."""
    fields["color_jitter"] = 0.3


def color_jitter(one: Section, fields: Fields) -> None:
    for name, field in (("brightness", "brightness_jitter"), ("contrast", "contrast_jitter"), ("hue", "hue_jitter")):
        fields[field] = one.number(name, 0, 0.5 if name == "hue" else 1, 0.0)
    shared = one.number("saturation", 0, 1, 0.0)
    if shared > min(fields["brightness_jitter"], fields["contrast_jitter"]):
        raise wrong(one.at("saturation"), shared, "at most as much as brightness and contrast")
    fields["color_jitter"] = shared  # of all three; the others come on top
    for field in ("brightness_jitter", "contrast_jitter"):
        fields[field] -= shared


def numbers(value: Any, low: float, high: float) -> bool:
    """Whether it is a list of numbers from `low` to `high`."""
    return isinstance(value, list) and all(isinstance(one, int | float) and low <= one <= high for one in value)


def zooms(one: Section, name: str, default: tuple[float, float]) -> tuple[float, float]:
    given = one.take(name, list(default))
    if not numbers(given, 0.05, 20) or len(given) != 2 or given[0] > given[1]:
        raise wrong(one.at(name), given, "two numbers from 0.05 to 20 that rise, as (0.5, 1.5)")
    return float(given[0]), float(given[1])


def side(value: Any, path: str) -> int:
    return int(checked_number(value, SMALLEST, LARGEST, path))


def pair(value: Any, path: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise wrong(path, value, "two numbers, as (1333, 800)")
    return side(value[0], path), side(value[1], path)
