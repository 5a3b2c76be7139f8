"""Uploads become inputs, once, on both databases, whatever is interrupted. The layouts: `test_import_layouts`."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, select, update

from luthier.store import imports, jobs, tables, uploads
from luthier.store.imports import Import
from luthier.store.upload_files import UploadFiles
from luthier.worker import housekeeping
from luthier.worker.importing import bring_in
from luthier.worker.loop import Worker
from tests.data.test_archives import zipped
from tests.worker.importing import begin, counts, imported, kept, png, row, upload
from tests.worker.world import World

Start = Callable[..., Worker]


def test_a_zip_of_class_folders_becomes_labelled_inputs(world: World, start_worker: Start) -> None:
    start_worker()
    files = {f"pets/{label}/{n}.png": png() for label in ("cats", "Äpfel") for n in range(3)}
    one, rows = imported(
        world,
        "pets.zip",
        zipped({**files, "pets/cats/broken.png": png()[:-20], "pets/cats/README.md": b"# cats"}),
        dataset_ids=("all",),
        labels={"animal": ("Animal", 1)},
        metadata={"site": "north"},
    )
    assert counts(one) == (8, 6, 0, 2) and one.status == 64002
    inputs = kept(world)
    assert set(inputs) == {f"{label}_{n}.png" for label in ("cats", "Äpfel") for n in range(3)}
    first = inputs["cats_0.png"]
    assert first["bytes"] == files["pets/cats/0.png"] and first["status"] == 30000 and first["size"] == (8, 6)
    assert first["labels"] == {"cats": 1, "animal": 1} and first["datasets"] == ["all"]
    assert first["metadata"] == {"site": "north", "filename": "cats/0.png"}
    told = {item.name: (item.status, item.input_id) for item in rows}
    assert told["Äpfel/1.png"] == (30000, "Äpfel_1.png")
    assert told["cats/broken.png"] == (47104, "") and told["cats/README.md"] == (30101, "")
    assert [item.number for item in rows] == list(range(1, 9))


def test_boxes_polygons_and_masks_of_coco(world: World, start_worker: Start) -> None:
    start_worker()
    mask = {"size": [6, 8], "counts": [0, 3, 45]}
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [2, 3, 4, 1.5]},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[0, 0, 4, 0, 4, 3], [8, 6, 4, 6, 8, 3]]},
        {"id": 3, "image_id": 1, "category_id": 2, "segmentation": mask, "iscrowd": 1},
        {"id": 4, "image_id": 2, "category_id": 1, "bbox": [2, 3, 40, 1]},
    ]
    data = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 8, "height": 6} for n in (1, 2)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    files = {"images/1.png": png(), "images/2.png": png(), "annotations.json": json.dumps(data).encode()}
    one, rows = imported(world, "coco.zip", zipped(files))
    assert counts(one) == (2, 1, 0, 1)
    assert "annotations[3]" in rows[1].details
    regions = kept(world)["1.png"]["regions"]
    box = regions[0].region_info.bounding_box
    assert (box.left_col, box.top_row, box.right_col, box.bottom_row) == (0.25, 0.5, 0.75, 0.75)
    first, second = regions[1], regions[2]
    assert [(p.col, p.row) for p in first.region_info.polygon.points] == [(0, 0), (0.5, 0), (0.5, 0.5)]
    assert first.track_id == second.track_id != "" and first.data.concepts[0].id == "dog"
    picture = regions[3].region_info.mask.image
    pixels = np.asarray(Image.open(io.BytesIO(world.blobs.read(picture.url)), formats=["PNG"]))
    assert pixels.shape == (6, 8) and np.argwhere(pixels).tolist() == [[0, 0], [1, 0], [2, 0]]
    assert (picture.image_info.width, picture.image_info.height) == (8, 6)
    with world.database.read() as connection:
        stored = connection.execute(select(tables.regions.c.rows)).scalar_one()
        assert connection.execute(select(tables.masks.c.blob)).scalar_one() == picture.url
    assert [row[0] for row in json.loads(stored)] == ["box", "polygon", "polygon", "mask"]
    again, _ = imported(world, "coco.zip", zipped(files))
    assert counts(again) == (2, 0, 1, 1)


def test_an_id_with_other_content_is_rejected_or_skipped(world: World, start_worker: Start) -> None:
    start_worker()
    imported(world, "a.zip", zipped({"cats/1.png": png(), "cats/2.png": png()}))
    other = zipped({"cats/1.png": png(), "cats/3.png": png()})
    one, rows = imported(world, "b.zip", other)
    assert counts(one) == (2, 1, 0, 1)
    assert rows[0].status == 30100 and "'cats_1.png' is there with other content" in rows[0].details
    one, rows = imported(world, "b.zip", other, skip=True, dataset_ids=("all",))
    assert counts(one) == (2, 0, 2, 0)
    assert kept(world)["cats_1.png"]["datasets"] == ["all"]


# -- interruptions -----------------------------------------------------------------------------------------------------


def test_a_retry_goes_on_where_the_first_attempt_stopped(
    world: World, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bring_in, "BATCH", 4)
    real, calls = bring_in.write, []

    def write(*given: Any) -> None:
        calls.append(given)
        real(*given)
        if len(calls) == 2:
            raise OSError("power cut")  # in the transaction: nothing of this batch may stay

    monkeypatch.setattr(bring_in, "write", write)
    files = {f"a/{n:02}.png": png() for n in range(10)}
    start_worker()
    one, rows = imported(world, "data.zip", zipped(files))
    assert counts(one) == (10, 10, 0, 0) and one.status == 64002
    assert [item.name for item in rows] == sorted(files) and len(kept(world)) == 10
    assert [len(given[3]) for given in calls] == [4, 4, 4, 2]


def test_a_cancelled_import_keeps_what_it_had(
    world: World, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bring_in, "BATCH", 4)
    real = bring_in.write

    def write(connection: Any, one: Import, *given: Any) -> None:
        real(connection, one, *given)
        imports.cancelled(connection, one.seq, "cancelled by ada")

    monkeypatch.setattr(bring_in, "write", write)
    start_worker()
    one, rows = imported(world, "data.zip", zipped({f"a/{n:02}.png": png() for n in range(10)}))
    assert (one.status, one.details, one.made, len(rows)) == (64004, "cancelled by ada", 4, 4)
    world.until(lambda: _states(world) == {jobs.State.CANCELLED})
    assert len(kept(world)) == 4


def test_bad_I15_an_app_deleted_meanwhile_ends_the_import(
    world: World, start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bring_in, "BATCH", 4)
    real = bring_in.write

    def write(connection: Any, *given: Any) -> None:
        real(connection, *given)
        connection.execute(delete(tables.apps))

    monkeypatch.setattr(bring_in, "write", write)
    seq = begin(world, "data.zip", zipped({f"a/{n:02}.png": png() for n in range(10)}))
    upload_seq = row(world, seq).upload or 0
    start_worker()
    world.until(lambda: _states(world) == {jobs.State.CANCELLED})
    assert not kept(world)
    file = UploadFiles(world.settings).path(upload_seq)
    assert file.exists()
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert not file.exists()


def test_bytes_go_when_they_have_become_inputs_or_their_time_is_over(world: World, start_worker: Start) -> None:
    start_worker()
    one, _ = imported(world, "a.csv", b"text,label\nx,y\n")
    files = UploadFiles(world.settings)
    world.until(lambda: files.known() == set())
    old, new = upload(world, "b.csv", b"old"), upload(world, "c.csv", b"new")
    with world.database.write() as connection:
        connection.execute(update(tables.uploads).where(tables.uploads.c.seq == old).values(expires_at=1.0))
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert files.known() == {new}
    with world.database.read() as connection:
        assert uploads.by_seqs(connection, [old])[old].status == 68004
    left = world.settings.data_dir / "import-x"
    left.mkdir()
    os.utime(left, (1, 1))
    housekeeping.tidy(world.settings, world.database, world.blobs)
    assert not left.exists()
    assert one.status == 64002


def _states(world: World) -> set[str]:
    with world.database.read() as connection:
        return set(connection.execute(select(tables.jobs.c.state)).scalars())


def test_masks_named_by_an_import_are_not_collected(world: World, start_worker: Start) -> None:
    start_worker()
    file = io.BytesIO()
    Image.fromarray(np.ones((6, 8), np.uint8)).save(file, "PNG")
    with zipfile.ZipFile(packed := io.BytesIO(), "w") as archive:
        for name, data in (("images/a.png", png()), ("masks/a.png", file.getvalue()), ("classes.txt", b"x\nsky\n")):
            archive.writestr(name, data)
    imported(world, "masks.zip", packed.getvalue())
    (region,) = kept(world)["a.png"]["regions"]
    housekeeping.tidy(world.settings, world.database, world.blobs, grace_seconds=-10)
    assert world.blobs.exists(region.region_info.mask.image.url)
