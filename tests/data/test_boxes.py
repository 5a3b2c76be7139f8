"""COCO, YOLO and Pascal VOC: what they say is read, what is wrong is named, what is written is read again."""

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data import readers
from luthier.data.writers import coco as coco_writer
from luthier.data.writers import voc as voc_writer
from luthier.data.writers import yolo as yolo_writer
from luthier.errors import InvalidRequest
from luthier.runs.manifest import Example, Region
from tests.data.layouts import SPLITS, again, picture, without_place


def refused(path: Path) -> str:
    with pytest.raises(InvalidRequest) as caught:
        readers.read(path)
    return caught.value.details


def box(concept: str, *points: float, group: int = 0) -> Region:
    return Region("box", concept, points, group=group)


def examples(folder: Path, regions: list[tuple[Region, ...]]) -> list[Example]:
    sides = [(40, 30), (7, 3), (333, 217), (1, 1)]
    made = []
    for n, given in enumerate(regions):
        width, height = sides[n % 4]
        path = str(picture(folder / f"{n}.png", width, height))
        made.append(Example(f"sub/{n} ä.png", "", SPLITS[n % 4], {}, width, height, path, regions=given))
    return made


BOXES = [
    (box("cat", 0.1, 0.2, 0.5, 1.0), box("dog", 0.0, 0.0, 1.0, 1.0)),
    (box('a, "b" <c>', 0.1428571, 0.3333333, 0.2857143, 0.6666667),),
    (box("cat", 0.0000001, 0.1234567, 0.7654321, 0.9999999),),
    (),
]
POLYGONS = [(Region("polygon", "dog", (0.0, 0.0, 0.7654321, 0.0, 0.3333333, 1.0)), box("cat", 0.1, 0.1, 0.2, 0.2)), ()]
PARTS = [
    (
        Region("polygon", "dog", (0.0, 0.0, 1.0, 0.0, 0.5, 0.5), group=1),
        Region("polygon", "dog", (0.5, 0.5, 1.0, 1.0, 0.0, 1.0), group=1),
        Region("polygon", "dog", (0.0, 0.0, 1.0, 0.0, 0.5, 0.5)),
        Region("mask", "sky", runs=(40, 30, 100, 45, 1000, 0, 55)),
        Region("mask", "sky", runs=(40, 30, 1200)),
    ),
    (),
    (Region("mask", "cat", runs=(333, 217, 0, 333 * 217)),),
]


@pytest.mark.parametrize(
    ("writer", "regions"),
    [(w, BOXES) for w in (coco_writer, yolo_writer, voc_writer)]
    + [(w, POLYGONS) for w in (coco_writer, yolo_writer)]
    + [(coco_writer, PARTS)],
)
def test_what_is_written_is_read_again(writer: Any, regions: list[tuple[Region, ...]], tmp_path: Path) -> None:
    before = examples(tmp_path / "src", regions)
    first = again(writer.write, before, tmp_path / "first")
    assert [(one.id, one.split, one.regions) for one in sorted(first.examples, key=lambda one: one.id)] == [
        (one.id, one.split, one.regions) for one in before
    ]
    second = again(writer.write, first.examples, tmp_path / "second")
    assert without_place(second.examples) == without_place(first.examples) and second.concepts == first.concepts


def test_coco_keeps_ids_and_labels(tmp_path: Path) -> None:
    (made,) = examples(tmp_path / "src", [(box("cat", 0.0, 0.0, 0.5, 0.5),)])
    before = Example("input 1", "", "test", {"outdoor": 1, "night": 0}, 40, 30, made.path, regions=made.regions)
    (after,) = again(coco_writer.write, [before], tmp_path / "out").examples
    assert (after.id, after.labels, after.split) == ("input 1", {"outdoor": 1, "night": 0}, "test")


def test_writers_refuse_what_a_layout_cannot_say(tmp_path: Path) -> None:
    (mask,) = examples(tmp_path / "src", [(Region("mask", "sky", runs=(40, 30, 1200)),)])
    with pytest.raises(InvalidRequest, match="holds a mask, which YOLO has no line for; write COCO or JSON lines"):
        yolo_writer.write(tmp_path / "a", [mask])
    with pytest.raises(InvalidRequest, match="VOC has boxes only"):
        voc_writer.write(tmp_path / "b", [mask])
    with pytest.raises(InvalidRequest, match="is no picture"):
        coco_writer.write(tmp_path / "c", [Example("a", "", "train", text="hello")])
    assert not any((tmp_path / name).exists() for name in "abc")


# -- COCO --------------------------------------------------------------------------------------------------------------


def coco(tmp_path: Path, annotation: dict[str, Any], name: str = "data.json", **changes: Any) -> Path:
    picture(tmp_path / "images" / "a.png")
    data: dict[str, Any] = {
        "images": [{"id": 5, "file_name": "a.png", "width": 40, "height": 30}],
        "annotations": [{"id": 1, "image_id": 5, "category_id": 3, **annotation}],
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "unused"}],
        **changes,
    }
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def test_coco_boxes_polygons_and_masks(tmp_path: Path) -> None:
    result = readers.read(coco(tmp_path, {"bbox": [4, 3, 20, 15], "segmentation": []}))
    (only,) = result.examples
    assert only.regions == (box("cat", 0.1, 0.1, 0.6, 0.6),) and only.id == "a.png"
    assert [concept.id for concept in result.concepts] == ["cat", "unused"]
    (only,) = readers.read(coco(tmp_path, {"bbox": [0, 0, 1, 1], "segmentation": [[0, 0, 40, 0, 40, 30]]})).examples
    assert only.regions == (Region("polygon", "cat", (0.0, 0.0, 1.0, 0.0, 1.0, 1.0)),)
    runs = {"size": [30, 40], "counts": [30, 60, 1110]}
    (only,) = readers.read(coco(tmp_path, {"segmentation": runs})).examples
    assert only.regions == (Region("mask", "cat", runs=(40, 30, 30, 60, 1110)),)


def packed(runs: list[int]) -> str:
    """rleToString of COCO's maskApi.c."""
    text = ""
    for n, run in enumerate(runs):
        value, more = run - runs[n - 2] if n > 2 else run, True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | (32 if more else 0)) + 48)
    return text


def test_coco_compressed_masks(tmp_path: Path) -> None:
    runs = [0, 30, 500, 3, 600, 67]
    (only,) = readers.read(coco(tmp_path, {"segmentation": {"size": [30, 40], "counts": packed(runs)}})).examples
    assert only.regions == (Region("mask", "cat", runs=(40, 30, *runs)),)


def test_coco_files_per_split(tmp_path: Path) -> None:
    coco(tmp_path, {"bbox": [0, 0, 1, 1]}, "annotations/instances_train2017.json")
    picture(tmp_path / "val2017" / "b.png")
    image = {"id": 1, "file_name": "b.png", "width": 40, "height": 30}
    coco(tmp_path, {}, "annotations/instances_val2017.json", images=[image], annotations=[])
    assert [(one.id, one.split) for one in readers.read(tmp_path).examples] == [("a.png", "train"), ("b.png", "val")]


@pytest.mark.parametrize(
    ("annotation", "says"),
    [
        ({"bbox": [-1, 3, 20, 15]}, "annotations[0] (cat): the box's left is -0.025 of the picture"),
        ({"bbox": [30, 3, 20, 15]}, "the box's right is 1.25 of the picture"),
        ({"bbox": [4, 3, 0, 15]}, "the box has no area: left 0.1 is not below right 0.1"),
        ({"bbox": [4, 3, 20, -2]}, "the box has no area: top 0.1 is not below bottom 0.0333333"),
        ({"bbox": [1e38, 3, 20, 15]}, "the box's left is 2.5e+36"),
        ({"bbox": ["NaN", 3, 20, 15]}, "a value of its bbox is NaN; give a finite number"),
        ({"bbox": [4, 3, 20]}, "its bbox is [4, 3, 20]"),
        ({}, "its bbox is None"),
    ],
)
def test_bad_F1_boxes_make_their_picture_invalid(annotation: dict[str, Any], says: str, tmp_path: Path) -> None:
    (only,) = readers.read(coco(tmp_path, annotation)).examples
    assert says in only.invalid and not only.regions


def test_bad_F1_rounding_is_forgiven(tmp_path: Path) -> None:
    (only,) = readers.read(coco(tmp_path, {"bbox": [0, 0, 40.00003, 30]})).examples
    assert only.regions == (box("cat", 0.0, 0.0, 1.0, 1.0),)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([], "its bbox is None"),
        ([[]], "0 different points; it needs at least 3"),
        ([[1, 1, 2, 2]], "2 different points"),
        ([[1, 1, 1, 1, 1, 1, 2, 2]], "2 different points"),
        ([[1, 1, 2, 2, 3]], "5 coordinates; give an x and a y"),
        ([[1, 1, 2, 2, 3, 31]], "y of point 3 of the polygon is 1.033333 of the picture"),
        ([[1, 1, 2, 2, 3, "NaN"]], "coordinate 6 is NaN; give a finite number"),
        ([[n % 40 for n in range(20_002)]], "10001 points; at most 10000 are kept"),
        (["a"], "give polygons or run lengths"),
    ],
)
def test_bad_F2_polygons_make_their_picture_invalid(points: Any, says: str, tmp_path: Path) -> None:
    (only,) = readers.read(coco(tmp_path, {"segmentation": points})).examples
    assert says in only.invalid


def test_bad_F2_crossing_is_kept_and_repeated_points_count_once(tmp_path: Path) -> None:
    (only,) = readers.read(coco(tmp_path, {"segmentation": [[0, 0, 0, 0, 40, 30, 40, 0, 0, 30]]})).examples
    assert only.regions[0].points == (0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        (
            {"size": [40, 30], "counts": [1200]},
            "size is [40, 30] (height, width), the picture's is [30, 40]",
        ),
        ({"size": [30, 40], "counts": [1100]}, "the mask has 1100 pixels, the picture 40x30 = 1200"),
        ({"size": [30, 40], "counts": [-1, 1201]}, "not all whole numbers"),
        ({"size": [30, 40], "counts": "\x00"}, "no character of run lengths"),
        ({"size": [30, 40], "counts": "oooooooo"}, "no character of run lengths"),
        ({"size": [30, 40]}, "the mask's counts are None"),
    ],
)
def test_bad_F3_masks_make_their_picture_invalid(mask: dict[str, Any], says: str, tmp_path: Path) -> None:
    (only,) = readers.read(coco(tmp_path, {"segmentation": mask})).examples
    assert says in only.invalid


def test_a_picture_of_another_size_than_annotated_is_invalid(tmp_path: Path) -> None:
    image = {"id": 5, "file_name": "a.png", "width": 30, "height": 40}
    (only,) = readers.read(coco(tmp_path, {"bbox": [0, 0, 1, 1]}, images=[image])).examples
    assert only.invalid == "its annotation is for 30x40 pixels, the upright picture has 40x30"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"images": [{"id": 5}]}, "images[0] (id 5) has no file_name"),
        ({"images": [7]}, "images[0] is 7"),
        ({"images": [{"id": 6, "file_name": "a"}]}, "annotations[0] is of image_id 5, which no entry of images has"),
        ({"images": [{"id": 5, "file_name": "a"}] * 2}, "images[1] (id 5) has the id of another entry"),
        (
            {"categories": [{"id": 1, "name": "x"}]},
            "annotations[0] is of category_id 3, which no entry of",
        ),
        ({"categories": [{"id": 3, "name": "a/b"}]}, "categories[0]: the concept a/b cannot be used"),
        ({"categories": [{"id": 3, "name": "x"}, {"id": 4, "name": "x"}]}, "several categories are called x"),
        ({"categories": [{"id": 3, "name": "x"}] * 2}, "two entries of categories have the same id"),
        ({"categories": 7}, "categories is 7; give a list"),
        ({"annotations": [{"image_id": [5]}]}, "annotations[0] is of image_id [5]"),
        ({"annotations": ["x"]}, "annotations[0] is of image_id x"),
    ],
)
def test_broken_coco_entries_are_named(changes: dict[str, Any], says: str, tmp_path: Path) -> None:
    assert says in refused(coco(tmp_path, {}, **changes))


# -- YOLO --------------------------------------------------------------------------------------------------------------


def yolo(tmp_path: Path, label: str, yaml: str = "train: images\nnames: [cat, 'dog''s', \"b, c\"]\n") -> Path:
    picture(tmp_path / "images" / "a.png")
    picture(tmp_path / "images" / "empty.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(label)
    (tmp_path / "data.yaml").write_text(yaml)
    return tmp_path / "data.yaml"


def test_yolo_boxes_polygons_and_empty_pictures(tmp_path: Path) -> None:
    result = readers.read(yolo(tmp_path, "0 0.5 0.5 0.5 1\r\n\n2 0 0 1 0 1 1\n"))
    first, second = result.examples
    assert first.regions == (
        box("cat", 0.25, 0.0, 0.75, 1.0),
        Region("polygon", "b, c", (0.0, 0.0, 1.0, 0.0, 1.0, 1.0)),
    )
    assert (second.id, second.regions) == ("empty.png", ())
    assert [concept.id for concept in result.concepts] == ["cat", "dog's", "b, c"]


@pytest.mark.parametrize(
    "yaml",
    [
        "# mine\npath: ../somewhere\ntrain: images  # all\nval:\nnc: 1\nnames:\n  0: cat\n",
        "train: ../images\nnames:\n- cat\nroboflow:\n  workspace: x\n",
        "path: .\ntrain:\n  - images\nnames: ['cat']\ndownload: |\n  import os\n",
    ],
)
def test_yolo_forms_of_data_yaml(yaml: str, tmp_path: Path) -> None:
    result = readers.read(yolo(tmp_path, "0 0.5 0.5 1 1\n", yaml).parent)
    assert result.examples[0].regions == (box("cat", 0.0, 0.0, 1.0, 1.0),)


def test_yolo_folders_per_split_as_roboflow_writes_them(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        picture(tmp_path / split / "images" / "a.png")
        (tmp_path / split / "labels").mkdir()
        (tmp_path / split / "labels" / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 1\nnames: ['cat']\n")
    found = readers.read(tmp_path).examples
    assert [(one.id, one.split, len(one.regions)) for one in found] == [
        ("train/a.png", "train", 1),
        ("valid/a.png", "val", 1),
    ]


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("0 0.5 0.5 0.5 0.5\n0 0.9 0.5 0.5 0.5\n", "labels/a.txt: line 2: the box's right is 1.15"),
        ("0 0.5 0.5 0 0.5\n", "the box has no area"),
        ("0 nan 0.5 0.5 0.5\n", "the box's left is nan; give a finite number"),
        ("3 0.5 0.5 0.5 0.5\n", "class 3 is not one of the 3 in data.yaml"),
        ("cat 0.5 0.5 0.5 0.5\n", "cat 0.5 0.5 0.5 0.5 is not a class number and fractions"),
        ("0 0.5 0.5 0.5\n", "it has 3 numbers after the class"),
        ("0 0 0 1 0 1 1 0\n", "7 coordinates; give an x and a y"),
    ],
)
def test_bad_F1_and_F2_in_yolo_name_file_and_line(label: str, says: str, tmp_path: Path) -> None:
    first, second = readers.read(yolo(tmp_path, label)).examples
    assert says in first.invalid and not second.invalid


@pytest.mark.parametrize(
    ("yaml", "says"),
    [
        ("names: [cat]\n", "names neither train nor val nor test"),
        ("train: images\n", "names no classes"),
        ("train: gone\nnames: [a]\n", "gone is not a folder of pictures"),
        ("train: /etc\nnames: [a]\n", "/etc is not a folder of pictures"),
        ("train: images\nnames: [a, b\n", "line 2: [a, b is not a list in brackets on one line"),
        ("train: images\nnames: &x\n", "line 2: &x is not understood"),
        ("train: images\nnames:\n  - !!python/object x\n", "line 3: !!python/object x is not understood"),
        ("train: images\nnames: [a, a]\n", "two classes have the same name"),
        ("train: images\nnames: [a/b]\n", "the concept a/b cannot be used"),
    ],
)
def test_broken_data_yaml_is_refused(yaml: str, says: str, tmp_path: Path) -> None:
    assert says in refused(yolo(tmp_path, "", yaml))


# -- Pascal VOC --------------------------------------------------------------------------------------------------------


def voc(tmp_path: Path, inside: str, size: str = "<size><width>40</width><height>30</height></size>") -> Path:
    picture(tmp_path / "JPEGImages" / "a.png")
    (tmp_path / "Annotations").mkdir()
    text = f"<annotation><filename>a.png</filename>{size}{inside}</annotation>"
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    return tmp_path


def voc_object(*sides: object) -> str:
    names = ("xmin", "ymin", "xmax", "ymax")
    box_ = "".join(f"<{name}>{side}</{name}>" for name, side in zip(names, sides, strict=True))
    return f"<object><name>cat</name><bndbox>{box_}</bndbox></object>"


def test_voc_pixels_count_from_one(tmp_path: Path) -> None:
    (only,) = readers.read(voc(tmp_path, voc_object(1, 0, 40, 15))).examples
    assert only.regions == (box("cat", 0.0, 0.0, 1.0, 0.5),) and only.id == "a.png"


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        (voc_object(1, 1, 41, 15), "a.xml: object 1 (cat): the box's right is 1.025"),
        (voc_object(-5, 1, 40, 15), "the box's left is -0.15"),
        (voc_object(30, 1, 20, 15), "the box has no area"),
        (voc_object("nan", 1, 20, 15), "give a finite number"),
        (voc_object("left", 1, 20, 15), "bndbox/xmin is left; give pixels"),
        ("<object><name>a/b</name></object>", "the concept a/b cannot be used"),
        ("<object>", "a.xml: this is not XML: mismatched tag"),
        ("<a>" * 40 + "</a>" * 40, "nested more than 32 deep"),
    ],
)
def test_bad_F1_in_voc_names_file_and_object(inside: str, says: str, tmp_path: Path) -> None:
    (only,) = readers.read(voc(tmp_path, inside)).examples
    assert says in only.invalid


def test_voc_entities_are_never_expanded(tmp_path: Path) -> None:
    folder = voc(tmp_path, "")
    declared = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation><filename>&e;</filename></annotation>'
    (folder / "Annotations" / "a.xml").write_text(declared)
    (only,) = readers.read(folder).examples
    assert "declares a document type" in only.invalid


def test_voc_without_a_size_is_invalid(tmp_path: Path) -> None:
    (only,) = readers.read(voc(tmp_path, voc_object(1, 1, 40, 15), "")).examples
    assert "size/width and size/height are missing" in only.invalid
