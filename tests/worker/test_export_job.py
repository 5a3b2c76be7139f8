"""Dataset versions as archives: what the published SDK reads, what our own readers read, and what cannot be written."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from clarifai.datasets.export.inputs_annotations import DatasetExportReader
from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.json_format import Parse
from PIL import Image
from sqlalchemy import delete, update

from luthier.data.readers import read
from luthier.runs.manifest import Example, Region, write_manifest
from luthier.store import exports, jobs, snapshots
from luthier.store.exports import Export, Format, Status
from luthier.store.tables import dataset_exports, dataset_versions, inputs
from luthier.worker import export_job, housekeeping
from luthier.worker.loop import Worker
from tests.worker.test_data_jobs import frozen
from tests.worker.world import World

Start = Callable[..., Worker]
MASK = (4, 2, 1, 2, 5)  # 4x2 pixels, two inside: the lower of the first column, the upper of the second


def export(world: World, version: int, format: Format) -> int:
    with world.database.write() as connection:
        asked, new = exports.ask(connection, version, format)
        if new:
            jobs.enqueue(connection, "export", "data", "ada", {}, subject=asked.seq)
    return asked.seq


def ended(world: World, seq: int) -> Export:
    def look() -> Export | None:
        with world.database.read() as connection:
            found = exports.by_seq(connection, seq)
        return found if found and found.status in (Status.DONE, Status.FAILED) else None

    found = world.until(look)
    assert isinstance(found, Export)
    return found


def archive(world: World, version: int, format: Format) -> zipfile.ZipFile:
    done = ended(world, export(world, version, format))
    assert done.status == Status.DONE, done.details
    assert world.blobs.path(done.blob).stat().st_size == done.size
    return zipfile.ZipFile(world.blobs.path(done.blob))


def drawn(world: World, *regions: Region, labels: dict[str, int] | None = None) -> int:
    """A ready version of one picture with these regions, beside the pictures that are in already."""
    seq = world.add_dataset_version()
    with world.database.write() as connection:
        row = connection.execute(inputs.select()).mappings().first()
        assert row
        snapshots.begin(connection, seq)
        example = Example(row["id"], row["blob"], "train", labels or {}, 8, 8, regions=regions)
        path = world.settings.data_dir / "drawn.jsonl"
        write_manifest(path, [example])
        snapshots.ready(connection, seq, world.blobs.put_file(path), {})
    return seq


def batches(zip: zipfile.ZipFile) -> Iterator[resources_pb2.Input]:
    for name in zip.namelist():
        if name != "mimetype":
            yield from resources_pb2.InputBatch.FromString(zip.read(name)).inputs


@pytest.fixture
def kept(world: World, digits: list[tuple[str, bytes]]) -> World:
    """300 digits with one negative label, and one input that is broken."""
    seqs = world.add_inputs(digits[:300])
    world.add_label(seqs[0], "dirty", 0)
    world.add_inputs([("0", b"broken")], status=47104, details="file ends early")
    message = resources_pb2.Input()
    message.data.metadata.update({"camera": "left", "value": 0})
    message.data.geo.geo_point.longitude = 8.5
    with world.database.write() as connection:
        connection.execute(update(inputs).where(inputs.c.seq == seqs[0]).values(message=message.SerializeToString()))
    return world


def test_the_sdk_reads_a_protobuf_export(kept: World, start_worker: Start) -> None:
    start_worker()
    version = kept.snapshot()
    zip = archive(kept, version, Format.CLARIFAI_DATA_PROTOBUF)  # asked for before the version is ready
    assert zip.namelist()[0] == "mimetype"
    with DatasetExportReader(local_archive_path=zip.filename) as reader:
        found = list(reader)
        assert len(reader) == len(found) == 300
    examples = [example for example in frozen(kept, version) if not example.invalid]
    assert {one.id for one in found} == {example.id for example in examples}
    by_id = {one.id: one for one in found}
    for example in examples:
        data = by_id[example.id].data
        assert {concept.id: concept.value for concept in data.concepts} == example.labels
        assert (data.image.image_info.width, data.image.image_info.format) == (8, "PNG")
        assert f"{data.image.hosted.prefix}/orig/{data.image.hosted.suffix}" == data.image.url
        assert example.blob in data.image.url and list(data.image.hosted.sizes) == ["orig"]
    first = next(one for one in found if any(concept.id == "dirty" for concept in one.data.concepts))
    assert first.data.metadata["camera"] == "left" and first.data.geo.geo_point.longitude == 8.5
    splits = {name.split("/")[0] for name in zip.namelist()[1:]}
    assert splits == {"train", "val", "test"}
    assert ended(kept, export(kept, version, Format.CLARIFAI_DATA_PROTOBUF)).details == (
        "1 inputs that could not be read are left out"
    )


def test_the_json_form_holds_the_same(kept: World, start_worker: Start) -> None:
    start_worker()
    version = kept.snapshot()
    plain, text = (archive(kept, version, form) for form in (Format.CLARIFAI_DATA_PROTOBUF, Format.CLARIFAI_DATA_JSON))
    assert text.read("mimetype") == b"application/x.clarifai-data+json"
    read_back = []
    for name in text.namelist()[1:]:
        rows = json.loads(text.read(name))["inputs"]
        assert int(name.removesuffix(".json").split("_n")[1]) == len(rows)
        assert all("value" in concept for row in rows for concept in row["data"]["concepts"])  # 0 is written out
        read_back += [Parse(json.dumps(row), resources_pb2.Input()) for row in rows]
    assert read_back == list(batches(plain))


def test_coco_with_its_pictures_is_read_again_as_it_was(kept: World, start_worker: Start, tmp_path: Path) -> None:
    start_worker()
    version = kept.snapshot()
    archive(kept, version, Format.COCO).extractall(tmp_path / "out")
    again = {example.id: example for example in read(tmp_path / "out").examples}
    examples = [example for example in frozen(kept, version) if not example.invalid]
    assert len(again) == len(examples) == 300
    for example in examples:
        found = again[example.id]
        assert (found.labels, found.split) == (example.labels, example.split)
        assert Path(found.path).read_bytes() == kept.blobs.read(example.blob)


REGIONS = (
    Region("box", "0", (0.0, 0.125, 0.5, 1.0)),
    Region("polygon", "it's ünique", (0.0, 0.0, 0.5, 0.0, 0.5, 0.75)),
)


def test_boxes_and_polygons_are_exported_in_every_format(kept: World, start_worker: Start, tmp_path: Path) -> None:
    start_worker()
    version = drawn(kept, *REGIONS, Region("mask", "0", runs=MASK), Region("point", "0", (0.25, 0.0)))
    (one,) = batches(archive(kept, version, Format.CLARIFAI_DATA_PROTOBUF))
    box, polygon, mask, point = one.data.regions
    assert (box.region_info.bounding_box.left_col, box.region_info.bounding_box.top_row) == (0.0, 0.125)
    assert (box.region_info.bounding_box.right_col, box.region_info.bounding_box.bottom_row) == (0.5, 1.0)
    assert [(p.col, p.row) for p in polygon.region_info.polygon.points] == [(0, 0), (0.5, 0), (0.5, 0.75)]
    assert polygon.data.concepts[0].id == "it's ünique" and polygon.data.concepts[0].value == 1
    pixels = np.asarray(Image.open(io.BytesIO(mask.region_info.mask.image.base64)))
    assert pixels.tolist() == [[False, True, False, False], [True, False, False, False]]
    assert (point.region_info.point.col, point.region_info.point.row) == (0.25, 0.0)
    (name,) = archive(kept, version, Format.CLARIFAI_DATA_JSON).namelist()[1:]
    row = json.loads(archive(kept, version, Format.CLARIFAI_DATA_JSON).read(name))["inputs"][0]
    assert row["data"]["regions"][0]["region_info"]["bounding_box"] == {
        "left_col": 0, "top_row": 0.125, "right_col": 0.5, "bottom_row": 1.0,
    }  # fmt: skip

    version = drawn(kept, *REGIONS, labels={"0": 1})
    archive(kept, version, Format.COCO).extractall(tmp_path / "out")
    (example,) = read(tmp_path / "out").examples
    assert example.regions == REGIONS and example.labels == {"0": 1}


def test_what_coco_cannot_hold_fails_with_its_reason(kept: World, start_worker: Start) -> None:
    start_worker()
    failed = ended(kept, export(kept, drawn(kept, Region("point", "0", (0.25, 0.5))), Format.COCO))
    assert failed.status == Status.FAILED and "COCO cannot" in failed.details


def test_an_input_that_was_deleted_since_is_still_exported(kept: World, start_worker: Start, tmp_path: Path) -> None:
    start_worker()
    version = kept.snapshot()
    examples = [example for example in frozen(kept, version) if not example.invalid]
    with kept.database.write() as connection:
        connection.execute(delete(inputs))
    found = list(batches(archive(kept, version, Format.CLARIFAI_DATA_PROTOBUF)))
    assert {one.id for one in found} == {example.id for example in examples}
    assert not any(one.data.HasField("metadata") for one in found)
    archive(kept, version, Format.COCO).extractall(tmp_path)
    assert len(list((tmp_path / "images").iterdir())) == len(examples)


TEXT = 'Zwei Zeilen\r\nmit "Zitat" 😀\n'


def test_texts_are_written_out_to_the_letter(world: World, start_worker: Start) -> None:
    world.add_inputs([("note", TEXT.encode())])
    with world.database.write() as connection:
        connection.execute(update(inputs).values(kind="text", width=0, height=0, format="TEXT"))
    start_worker()
    version = world.snapshot()
    (one,) = batches(archive(world, version, Format.CLARIFAI_DATA_PROTOBUF))
    assert one.data.text.raw == TEXT and not one.data.HasField("image")
    zip = archive(world, version, Format.CLARIFAI_DATA_JSON)
    assert json.loads(zip.read(zip.namelist()[1]))["inputs"][0]["data"]["text"]["raw"] == TEXT
    failed = ended(world, export(world, version, Format.COCO))
    assert failed.status == Status.FAILED and "is a text, which COCO cannot hold" in failed.details


def test_a_version_that_failed_fails_its_export(kept: World, start_worker: Start) -> None:
    version = kept.add_dataset_version()
    with kept.database.write() as connection:
        snapshots.failed(connection, version, "no such luck")
    start_worker()
    failed = ended(kept, export(kept, version, Format.CLARIFAI_DATA_JSON))
    assert failed.status == Status.FAILED and "no such luck" in failed.details


def test_an_export_whose_version_goes_ends_quietly(kept: World, start_worker: Start) -> None:
    version = kept.add_dataset_version()  # nobody freezes it
    seq = export(kept, version, Format.CLARIFAI_DATA_JSON)
    start_worker()
    with kept.database.write() as connection:
        connection.execute(delete(dataset_versions).where(dataset_versions.c.seq == version))
    kept.until(lambda: not _waiting(kept, seq))
    with kept.database.read() as connection:
        assert exports.by_seq(connection, seq) is None


def _waiting(world: World, seq: int) -> bool:
    with world.database.read() as connection:
        return bool(jobs.active(connection, "export", seq))


def test_a_full_disk_stops_an_export_before_the_reserve_is_touched(kept: World, start_worker: Start) -> None:
    object.__setattr__(kept.settings, "disk_reserve_mb", 10**9)
    version = drawn(kept)
    start_worker()
    failed = ended(kept, export(kept, version, Format.CLARIFAI_DATA_PROTOBUF))
    assert failed.status == Status.FAILED and "reserve" in failed.details
    assert not list(kept.settings.data_dir.glob(f"{export_job.EXPORTING}*"))


def test_archives_are_kept_as_long_as_their_export(kept: World, start_worker: Start) -> None:
    start_worker()
    version = kept.snapshot()
    done = ended(kept, export(kept, version, Format.CLARIFAI_DATA_PROTOBUF))
    housekeeping.tidy(kept.settings, kept.database, kept.blobs, grace_seconds=-1)
    assert kept.blobs.exists(done.blob)
    with kept.database.write() as connection:
        connection.execute(delete(dataset_exports))
    housekeeping.tidy(kept.settings, kept.database, kept.blobs, grace_seconds=-1)
    assert not kept.blobs.exists(done.blob)
