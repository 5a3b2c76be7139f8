"""One collection three ways, by the SDK, by curl and by `luthier import`: labelled texts, drawn boxes, masks.

What comes out of the three apps is equal, and it is what lay on disk; exports of it, read again, are too.
"""

import csv
import hashlib
import io
import json
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clarifai_grpc.grpc.api import resources_pb2
from PIL import Image

from luthier.data import readers
from luthier.runs.manifest import Region
from tests.conftest import png
from tests.e2e.client import Client, curl, until
from tests.e2e.conftest import Server

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "snippets" / "sdk_same_data.py"
WIDTH, HEIGHT = 60, 40
PACKAGES = [  # in the manner of a distribution's package descriptions
    ("admin", "cron-like job runner\n Runs commands at given times, also after the machine was off."),
    ("admin", 'shows which service holds a port\n "netstat, but for people", as its author says; needs no root.'),
    ("science", "Lösungsverfahren für dünn besetzte Gleichungssysteme\n Direct & iterative solvers, with MPI."),
    ("science", "statistics for ecologists: diversity, ordination, rarefaction"),
    ("games", "ボードゲーム「囲碁」\n Plays Go on 9×9, 13×13 and 19×19 boards."),
    ("games", "side-scrolling platformer; 80+ levels, editor included <script>alert(1)</script>"),
    ("net", "IRC client in 3,000 lines of C\n .\n Supports TLS, SASL, and little else."),
    ("net", "=cmd|' /C calc'!A0 mail filter that is a spreadsheet's nightmare"),
    ("doc", "руководство администратора\n HTML, PDF und Info."),
    ("doc", "translated manual pages: français, українська, 简体中文, العربية"),
]
BOXES = [  # picture, concept, left, top, right, bottom in pixels
    (0, "car", 3, 5, 23, 25),
    (0, "Street sign", 40, 0, 60, 11),
    (1, "car", 0, 0, 60, 40),
    (2, "car", 17, 19, 18, 20),
    (2, "car", 1, 1, 31, 39),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("same data"), np.random.default_rng(3)
    with (folder / "texts.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["inputid", "input", "concepts"])
        for number, (section, text) in enumerate(PACKAGES):
            table.writerow([f"package-{number}", text, f"{section},debian" if number % 2 else section])
    for name in ("boxes", "masks"):
        (folder / name / "images").mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            (folder / name / "images" / f"{name}-{number}.png").write_bytes(png(pixels))
    names = sorted({concept for _, concept, *_ in BOXES})
    coco = {
        "images": [
            {"id": n, "file_name": f"boxes-{n}.png", "width": WIDTH, "height": HEIGHT, "date_captured": ""}
            for n in range(3)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": names.index(concept) + 1, "bbox": [x, y, r - x, b - y]}
            for n, (image, concept, x, y, r, b) in enumerate(BOXES)
        ],
    }
    (folder / "boxes" / "annotations.json").write_text(json.dumps(coco))
    (folder / "masks" / "masks").mkdir()
    (folder / "masks" / "classes.txt").write_text("background\nleaf\nstem\n")
    for number in range(3):
        Image.fromarray(_numbers(number)).save(folder / "masks" / "masks" / f"masks-{number}.png")
    return folder


def _numbers(picture: int) -> np.ndarray:
    """Class of each pixel: a disc of leaf, a bar of stem, and pixels that nobody has judged."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    numbers = ((rows - 20) ** 2 + (columns - 15 * picture) ** 2 < 90).astype(np.uint8)
    numbers[picture * 7 : picture * 7 + 4] = 2
    numbers[-1, -5:] = 255
    return numbers


def truth(data: Path) -> dict[str, Any]:
    """What lay on disk: by input id its bytes, labels, regions in pixels."""
    found: dict[str, Any] = {}
    for number, (section, text) in enumerate(PACKAGES):
        labels = {section: 1, "debian": 1} if number % 2 else {section: 1}
        found[f"package-{number}"] = (_sha(text.encode()), labels, [])
    for name in ("boxes", "masks"):
        for file in sorted((data / name / "images").iterdir()):
            found[file.name] = (_sha(file.read_bytes()), {}, [])
    for image, concept, *sides in BOXES:
        found[f"boxes-{image}.png"][2].append(("box", concept, tuple(sides)))
    for number in range(3):
        for value, concept in ((1, "leaf"), (2, "stem")):
            found[f"masks-{number}.png"][2].append(("mask", concept, _packed(_numbers(number) == value)))
    return {id: (sha, labels, sorted(regions)) for id, (sha, labels, regions) in found.items()}


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _packed(inside: np.ndarray) -> tuple[int, ...]:
    return (*inside.shape, *np.packbits(inside).tolist())


def _pixels(fractions: Iterable[float]) -> tuple[int, ...]:
    exact = np.array(list(fractions)) * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    assert np.abs(exact - exact.round()).max() < 1e-4
    return tuple(int(side) for side in exact.round())


# -- in ----------------------------------------------------------------------------------------------------------------


def by_sdk(server: Server, data: Path, folder: Path) -> None:
    environment = server.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{server.grpc}",
        "CLARIFAI_PAT": server.token,
        "CLARIFAI_USER_ID": server.user_id,
        "DATA": str(data),
    }
    done = subprocess.run(
        [sys.executable, SCRIPT], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def by_import(server: Server, data: Path, app: str = "by-import") -> None:
    for name, source in (("texts", "texts.csv"), ("boxes", "boxes"), ("masks", "masks")):
        options = ("--app", app, "--dataset", name, "--create", "--json")
        printed = server.command("import", str(data / source), *options)
        told = json.loads(printed.splitlines()[-1])
        assert (told["rejected"], told["made"]) == (0, 10 if name == "texts" else 3), told


def by_curl(server: Server, data: Path, folder: Path) -> None:
    """A table as an upload, pictures by a form and boxes as JSON, masks as an archive in several parts."""
    client = Client(server, "by-curl")
    client.PostApps(apps=[{"id": "by-curl"}])
    client.PostDatasets(datasets=[{"id": name} for name in ("texts", "boxes", "masks")])
    app = "/v2/users/me/apps/by-curl"
    upload(server, app, data / "texts.csv", "texts")

    files = sorted((data / "boxes" / "images").iterdir())
    form = [word for file in files for word in ("-F", f"image=@{file}", "-F", f"id={file.name}")]
    answer = run_curl(server, f"{app}/inputs", *form, "-F", "dataset_ids=boxes")
    assert [one["id"] for one in answer["inputs"]] == [file.name for file in files]
    drawn = [
        {
            "input_id": f"boxes-{image}.png",
            "data": {
                "regions": [
                    {
                        "region_info": {
                            "bounding_box": {
                                "left_col": left / WIDTH,
                                "top_row": top / HEIGHT,
                                "right_col": right / WIDTH,
                                "bottom_row": bottom / HEIGHT,
                            }
                        },
                        "data": {"concepts": [{"id": concept, "value": 1}]},
                    }
                ]
            },
        }
        for image, concept, left, top, right, bottom in BOXES
    ]
    until(lambda: client.GetInputCount().counts.to_process == 0)
    status, answer = curl(server, "POST", f"{app}/annotations", {"annotations": drawn})
    assert status == 200 and answer["status"]["code"] == 10000, answer

    with zipfile.ZipFile(folder / "masks.zip", "w") as archive:
        for file in sorted((data / "masks").rglob("*.*")):
            archive.write(file, file.relative_to(data))
    upload(server, app, folder / "masks.zip", "masks", part_bytes=5000)


def upload(server: Server, app: str, file: Path, dataset: str, part_bytes: int = 10**6) -> None:
    """The three calls, and the wait; the last part goes first, as parts may come in any order."""
    size = file.stat().st_size
    _, made = curl(server, "POST", f"{app}/uploads", {"uploads": [{"content_name": file.name, "content_length": size}]})
    id, content = made["uploads"][0]["id"], file.read_bytes()
    for start in reversed(range(0, size, part_bytes)):
        (part := file.with_name("part")).write_bytes(content[start : start + part_bytes])
        url = f"{app}/uploads/{id}/content_parts?range_start={start}"
        raw = ("-X", "PUT", "-H", "Content-Type: application/octet-stream", "--data-binary", f"@{part}")
        answer = run_curl(server, url, *raw)
        part.unlink()
    assert answer["upload"]["status"]["code"] == 68001, answer
    sent = {"inputs_uploads": [{"upload": {"id": id}, "input_template": {"dataset_ids": [dataset]}}]}
    _, started = curl(server, "POST", f"{app}/inputs/uploads", sent)
    job = started["inputs_add_jobs"][0]["id"]
    deadline = time.monotonic() + 60
    while (seen := curl(server, "GET", f"{app}/inputs/jobs/add/{job}")[1]["inputs_add_job"])["status"]["code"] == 64001:
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
    assert seen["status"]["code"] == 64002 and not seen["progress"].get("failed_count"), seen
    _, items = curl(server, "GET", f"{app}/inputs/jobs/add/{job}/items")
    assert len(items["items"]) == int(seen["progress"]["success_count"])


def run_curl(server: Server, path: str, *words: str) -> dict[str, Any]:
    command = ["curl", "-sS", "-H", f"Authorization: Key {server.token}", *words, f"{server.url}{path}"]
    answer: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answer["status"]["code"] == 10000, answer
    return answer


# -- out ---------------------------------------------------------------------------------------------------------------


def kept(server: Server, app: str) -> dict[str, Any]:
    """What the app shows of its inputs, in the form of `truth`."""
    client = Client(server, app)
    until(lambda: client.GetInputCount().counts.to_process == 0)
    regions: dict[str, list[Any]] = defaultdict(list)
    for annotation in client.ListAnnotations(list_all_annotations=True, per_page=500).annotations:
        regions[annotation.input_id] += [_region(region) for region in annotation.data.regions]
    found = {}
    for one in client.ListInputs(per_page=500).inputs:
        assert one.status.code == 30000, one
        labels = {concept.id: int(concept.value) for concept in one.data.concepts}
        found[one.id] = (_sha(_bytes(one.data)), labels, sorted(regions[one.id]))
    return found


def _bytes(data: resources_pb2.Data) -> bytes:
    if data.HasField("text"):
        return data.text.raw.encode()
    return _fetched(data.image.url)


def _fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


def _region(region: resources_pb2.Region) -> tuple[str, str, tuple[int, ...]]:
    concept, info = region.data.concepts[0].id, region.region_info
    if info.HasField("mask"):
        pixels = np.asarray(Image.open(io.BytesIO(_fetched(info.mask.image.url)), formats=["PNG"]))
        return "mask", concept, _packed(pixels > 0)
    box = info.bounding_box
    return "box", concept, _pixels((box.left_col, box.top_row, box.right_col, box.bottom_row))


@pytest.fixture(scope="module")
def filled(server: Server, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Server:
    by_sdk(server, data, tmp_path_factory.mktemp("by sdk"))
    by_curl(server, data, tmp_path_factory.mktemp("by curl"))
    by_import(server, data)
    return server


@pytest.mark.parametrize("app", ["by-sdk", "by-curl", "by-import"])
def test_what_comes_out_is_what_lay_on_disk(filled: Server, data: Path, app: str) -> None:
    expected = truth(data)
    assert len(expected) == 16
    assert kept(filled, app) == expected


def test_a_second_import_changes_nothing(filled: Server, data: Path) -> None:
    before = kept(filled, "by-import")
    told = json.loads(filled.command("import", str(data / "masks"), "--app", "by-import", "--json").splitlines()[-1])
    assert (told["made"], told["present"], told["rejected"]) == (0, 3, 0), told
    assert kept(filled, "by-import") == before


@pytest.mark.parametrize("dataset", ["boxes", "masks"])
def test_a_coco_export_read_again_is_the_same(filled: Server, data: Path, dataset: str, tmp_path: Path) -> None:
    archive = tmp_path / "export.zip"
    archive.write_bytes(exported(filled, "by-curl", dataset))
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "out")
    expected = {id: one for id, one in truth(data).items() if id.startswith(dataset)}
    read = readers.read(tmp_path / "out")
    assert {one.id: (one.blob, one.labels, sorted(map(_read_region, one.regions))) for one in read.examples} == expected
    again = json.loads(
        filled.command("import", str(archive), "--app", f"again-{dataset}", "--create", "--json").splitlines()[-1]
    )
    assert again["made"] == 3 and kept(filled, f"again-{dataset}") == expected


def exported(server: Server, app: str, dataset: str) -> bytes:
    client = Client(server, app)
    client.PostDatasetVersions(dataset_id=dataset, dataset_versions=[{"id": "v"}])
    asked = {"dataset_id": dataset, "dataset_version_id": "v", "exports": [{"format": 2}]}
    until(
        lambda: (
            client.GetDatasetVersion(dataset_id=dataset, dataset_version_id="v").dataset_version.status.code == 64015
        )
    )
    until(lambda: client.PutDatasetVersionExports(**asked).exports[0].status.code == 64200)
    return _fetched(client.PutDatasetVersionExports(**asked).exports[0].url)


def _read_region(region: Region) -> tuple[str, str, tuple[int, ...]]:
    if region.kind == "box":
        return "box", region.concept, _pixels(region.points)
    width, height, *runs = region.runs
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return "mask", region.concept, _packed(flat.reshape(width, height).T)
