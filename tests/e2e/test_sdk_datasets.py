"""Datasets through the Python SDK, unchanged but for address and token: in by its own loaders, out as archives."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import png
from tests.e2e.conftest import Server

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "snippets" / "sdk_datasets.py"
NOTE = 'Grüße, "Welt"\n=1+1'


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a person has on disk: pictures, an ImageNet folder, COCO files, tables, notes."""
    folder = tmp_path_factory.mktemp("sdk data")
    rng = np.random.default_rng(7)
    (folder / "pictures").mkdir()
    for number in range(6):
        (folder / "pictures" / f"p{number}.png").write_bytes(png(rng.integers(0, 255, (20, 40, 3), dtype=np.uint8)))
    imagenet = folder / "imagenet"
    for synset in ("n01", "n02"):
        (imagenet / "train" / synset).mkdir(parents=True)
        for number in range(20):
            picture = png(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
            (imagenet / "train" / synset / f"{synset}_{number}.png").write_bytes(picture)
    (imagenet / "LOC_synset_mapping.txt").write_text("n01 great white shark\nn02 hen\n")
    images = [{"id": n, "file_name": f"p{n}.png", "width": 40, "height": 20} for n in range(3)]
    coco: dict[str, Any] = {"images": images, "categories": [{"id": 1, "name": "Big Fish"}, {"id": 2, "name": "hen"}]}
    boxes = [(1, 1, [4, 5, 20, 10]), (1, 2, [0, 0, 40, 20]), (2, 2, [10, 2, 5, 4])]
    coco["annotations"] = [
        {"id": n, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for n, (image, category, box) in enumerate(boxes, start=1)
    ]
    (folder / "boxes.json").write_text(json.dumps(coco))
    captions = [{"id": n, "image_id": n, "caption": f"picture {n}, seen from above"} for n in range(3)]
    (folder / "captions.json").write_text(json.dumps({"images": images, "annotations": captions}))
    quoted = NOTE.replace('"', '""')
    (folder / "texts.csv").write_text(
        "inputid,input,concepts,metadata,geopoints\n"
        '"row1","apt fails","package,urgent","{\'who\': \'ann\'}","8.5,47.4"\n'
        f'"row2","{quoted}","kernel","",""\n',
        encoding="utf-8",
    )
    (folder / "pictures.csv").write_text(f'inputid,input,concepts\n"row3","{folder / "pictures" / "p0.png"}","fish"\n')
    (folder / "notes").mkdir()
    (folder / "notes" / "first.txt").write_text("a note")
    return folder


@pytest.fixture(scope="module")
def seen(server: Server, data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environment = server.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{server.grpc}",
        "CLARIFAI_PAT": server.token,
        "CLARIFAI_USER_ID": server.user_id,
        "DATA": str(data),
    }
    folder = tmp_path_factory.mktemp("sdk work")
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-6000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_sdks_loaders_upload_and_its_status_counts(seen: dict[str, Any]) -> None:
    assert seen["classes"] == [{"total": "40"}, {"concepts": 40, "bboxes": 0, "polygons": 0}]
    assert len(seen["classes_ids"]) == 40 and seen["classes_ids"][0] == "classes-n01_0"
    assert seen["boxes"][1] == {"concepts": 0, "bboxes": 3, "polygons": 0}
    assert seen["shapes"][1] == {"concepts": 0, "bboxes": 0, "polygons": 2}
    assert seen["captions"][1]["concepts"] == 3 and seen["texts"][1]["concepts"] == 3
    assert [int(seen[id][0]["total"]) for id in ("boxes", "captions", "texts", "shapes")] == [3, 3, 2, 2]


def test_boxes_and_polygons_arrive_as_they_were_drawn(seen: dict[str, Any]) -> None:
    assert seen["boxes_found"] == [
        ["boxes-1", "big-fish", 0.1, 0.25, 0.6, 0.75],
        ["boxes-1", "hen", 0.0, 0.0, 1.0, 1.0],
        ["boxes-2", "hen", 0.25, 0.1, 0.375, 0.3],
    ]
    assert seen["shapes_found"] == [
        ["shapes-s0", "leaf", [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]],
        ["shapes-s0", "stem", [[0.25, 0.5], [0.5, 0.5], [0.5, 1.0]]],
    ]


def test_the_same_again_is_no_second_input_and_duplicates_are_retried_from_the_log(seen: dict[str, Any]) -> None:
    assert seen["again_same"] == 3
    assert seen["again_refused"] == 3
    assert seen["again_retried"] == 6
    assert seen["geo"] == [8.5]


def test_tables_and_folders_arrive_row_by_row(seen: dict[str, Any]) -> None:
    assert seen["table"] == [
        ["first", "a note", ["notes"], {}],
        ["row1", "apt fails", ["package", "urgent"], {"who": "ann"}],
        ["row2", NOTE, ["kernel"], {}],
        ["row3", "", ["fish"], {}],
    ]


def test_versions_archives_and_exports(seen: dict[str, Any], data: Path) -> None:
    assert seen["merged"] == 9
    assert seen["versions"] == [[True, "all of it"]] and seen["versions_after"] == 0
    regions = {id: count for id, count, _ in seen["archive"]}
    assert regions == {"first": 0, "row1": 0, "row2": 0, "row3": 0, "boxes-0": 0, "boxes-1": 2, "boxes-2": 1,
                       "shapes-s0": 2, "shapes-s1": 0}  # fmt: skip
    assert {id: concepts for id, _, concepts in seen["archive"]}["row1"] == ["package", "urgent"]
    assert seen["walked"] == 9
    inputs = {name for name in seen["export"] if "/inputs/" in name}
    assert inputs == {
        f"all/inputs/{id}.{'png' if regions[id] or '-' in id or id == 'row3' else 'txt'}" for id in regions
    }
    assert seen["export_texts"] == sorted(["a note", "apt fails", NOTE])
    box = seen["export_boxes"][1]["regionInfo"]["boundingBox"]
    assert {side: round(value, 6) for side, value in box.items()} == {
        "leftCol": 0.1, "topRow": 0.25, "rightCol": 0.6, "bottomRow": 0.75,
    }  # fmt: skip
    assert seen["downloaded"] == [(data / "pictures" / "p1.png").read_bytes().hex()]


def test_everything_is_listed(seen: dict[str, Any]) -> None:
    datasets = ["again", "boxes", "captions", "classes", "shapes", "table", "texts"]
    assert seen["datasets"] == datasets
    assert seen["datasets_after"] == [id for id in datasets if id != "table"]
    assert seen["apps"] == ["sdk-data"]
    assert seen["all_inputs"] == 40 + 3 + 3 + 2 + 2 + 6 + 4 and seen["page"] == 5
    assert {"big-fish", "great", "white", "leaf", "picture 0, seen from above", "urgent"} & set(seen["concepts"])
