"""Uploads become inputs: every layout, each item accepted or rejected with its reason, whatever is interrupted."""

import csv
import io
import json
import os
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clarifai_grpc.grpc.api import resources_pb2
from PIL import Image
from sqlalchemy import delete, select, update

from luthier.store import imports, jobs, tables, uploads
from luthier.store import inputs as stored_inputs
from luthier.store.imports import Import, Item, Request
from luthier.store.upload_files import UploadFiles
from luthier.worker import housekeeping
from luthier.worker.importing import bring_in
from luthier.worker.loop import Worker
from tests.data.test_archives import REFUSED, zipped
from tests.worker.web import Server as Web
from tests.worker.web import answer, by_path
from tests.worker.world import World

Start = Callable[..., Worker]
_numbers = iter(range(1 << 30))


def png(width: int = 8, height: int = 6) -> bytes:
    """Unlike every other."""
    number = next(_numbers)
    file = io.BytesIO()
    Image.new("RGB", (width, height), (number >> 8, number & 255, 3)).save(file, "PNG")
    return file.getvalue()


def upload(world: World, name: str, data: bytes) -> int:
    with world.database.write() as connection:
        new = uploads.NewUpload(uuid.uuid4().hex, name, len(data))
        (row,) = uploads.add(connection, world.app, [new], 7)
    half = len(data) // 2
    parts = UploadFiles(world.settings).write(row.seq, [(0, data[:half]), (half, data[half:])] if half else [(0, data)])
    with world.database.write() as connection:
        uploads.add_parts(connection, row.seq, parts)
    return row.seq


def begin(world: World, name: str, data: bytes, **request: Any) -> int:
    seq = upload(world, name, data)
    with world.database.write() as connection:
        job = stored_inputs.input_job(connection, world.app, uuid.uuid4().hex)
        made = imports.add(connection, world.app, uuid.uuid4().hex, job.seq, seq, Request(name, **request))
        jobs.enqueue(connection, "import", "data", "ada", {}, subject=made.seq)
    return made.seq


def row(world: World, seq: int) -> Import:
    with world.database.read() as connection:
        found = imports.by_seq(connection, seq)
    assert found is not None
    return found


def ended(world: World, seq: int) -> Import:
    return world.until(lambda: (r := row(world, seq)).status in imports.ENDED and r)  # type: ignore[no-any-return]


def items(world: World, seq: int) -> list[Item]:
    with world.database.read() as connection:
        return imports.items(connection, [seq], 0, 100_000)


def imported(world: World, name: str, data: bytes, **request: Any) -> tuple[Import, list[Item]]:
    seq = begin(world, name, data, **request)
    one = ended(world, seq)
    return one, items(world, seq)


def counts(one: Import) -> tuple[int, int, int, int]:
    """In equals out."""
    assert one.total == one.made + one.present + one.rejected
    return one.total, one.made, one.present, one.rejected


def kept(world: World) -> dict[str, Any]:
    """By input id: kind, bytes, labels, split, metadata, regions of its message, row status."""
    found: dict[str, Any] = {}
    with world.database.read() as connection:
        for one in connection.execute(select(tables.inputs)).mappings():
            message = resources_pb2.Input.FromString(one["message"])
            found[one["id"]] = {
                "kind": one["kind"],
                "bytes": world.blobs.read(one["blob"]),
                "labels": {},
                "split": one["split"],
                "metadata": dict(message.data.metadata.items()),
                "size": (one["width"], one["height"]),
                "status": one["status"],
                "regions": [],
                "datasets": [],
            }
        ids = dict(connection.execute(select(tables.inputs.c.seq, tables.inputs.c.id)).all())
        labels = select(tables.labels.c.input, tables.concepts.c.id, tables.labels.c.value)
        for input, concept, value in connection.execute(labels.join(tables.concepts)):
            found[ids[input]]["labels"][concept] = value
        notes = connection.execute(select(tables.annotations.c.input, tables.annotations.c.message))
        for input, message in notes:
            found[ids[input]]["regions"] = list(resources_pb2.Annotation.FromString(message).data.regions)
        for input, dataset in connection.execute(
            select(tables.dataset_inputs.c.input, tables.datasets.c.id).join(tables.datasets)
        ):
            found[ids[input]]["datasets"].append(dataset)
    return found


# -- layouts -----------------------------------------------------------------------------------------------------------


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


def test_splits_and_texts_of_class_folders(world: World, start_worker: Start) -> None:
    start_worker()
    files = {
        "train/spam/a.txt": b"Buy now!",
        "val/ham/b.txt": b"\xef\xbb\xbfHello",
        "val/ham/empty.txt": b" \n",
        "val/ham/latin.txt": b"\xe4",
    }
    one, rows = imported(world, "mails.zip", zipped(files))
    assert counts(one) == (4, 2, 0, 2)
    inputs = kept(world)
    assert {id: (row["kind"], row["bytes"], row["split"]) for id, row in inputs.items()} == {
        "train_spam_a.txt": ("text", b"Buy now!", "train"),
        "val_ham_b.txt": ("text", b"Hello", "val"),
    }
    reasons = {item.name: item.details for item in rows if not item.input_id}
    assert "byte 0" in reasons["val/ham/latin.txt"] and "empty" in reasons["val/ham/empty.txt"]
    assert str(world.settings.data_dir) not in json.dumps(reasons)


def test_pictures_without_folders_have_no_label(world: World, start_worker: Start) -> None:
    start_worker()
    one, _ = imported(world, "flat.zip", zipped({"a.png": png(), "b.png": png()}))
    assert counts(one) == (2, 2, 0, 0)
    assert {id: row["labels"] for id, row in kept(world).items()} == {"a.png": {}, "b.png": {}}


def test_a_table_of_texts(world: World, start_worker: Start) -> None:
    start_worker()
    table = b'text,label\n"Hello, you",ham\nBuy,spam\n"=1+1",spam\n'
    one, rows = imported(world, "mails.csv", table)
    assert counts(one) == (3, 3, 0, 0)
    inputs = kept(world)
    assert sorted((row["bytes"], *row["labels"]) for row in inputs.values()) == [
        (b"=1+1", "spam"),
        (b"Buy", "spam"),
        (b"Hello, you", "ham"),
    ]
    assert [item.name for item in rows] == ["row-2", "row-3", "row-4"]
    other, _ = imported(world, "more.csv", b"text,label\nThird,ham\n")
    assert counts(other) == (1, 1, 0, 0) and len(kept(world)) == 4  # row 2 of another table is another input
    again, _ = imported(world, "mails.csv", table)
    assert counts(again) == (3, 0, 3, 0) and len(kept(world)) == 4


def test_a_table_with_ids_and_pictures_in_an_archive(world: World, start_worker: Start) -> None:
    start_worker()
    files = {
        "photos/a.png": png(),
        "photos/b.png": png(),
        "labels.csv": b"inputid,input,concepts,negative_concepts,split\n"
        b'one,photos/a.png,"cat,small",dog,train\ntwo,photos/b.png,dog,,test\nthree,photos/none.png,dog,,test\n',
    }
    one, rows = imported(world, "data.zip", zipped(files))
    assert counts(one) == (3, 2, 0, 1)
    assert kept(world)["one"]["labels"] == {"cat": 1, "small": 1, "dog": 0}
    assert kept(world)["two"]["split"] == "test"
    assert "there is no file photos/none.png" in rows[2].details and rows[2].name == "three"


@pytest.mark.parametrize("keep_good", [False, True])
def test_bad_E7_rows_that_cannot_be_read(world: World, start_worker: Start, keep_good: bool) -> None:
    start_worker()
    table = b"file,what\nHello,ham\nBuy,spam,now\nBye,ham\n"
    one, rows = imported(world, "mails.csv", table, keep_good=keep_good, columns={"text": "file", "label": "what"})
    if keep_good:
        assert (one.status, *counts(one)) == (64002, 3, 2, 0, 1)
        assert (rows[2].name, rows[2].details) == ("row 3", "it has 3 cells, the header has 2")
    else:
        assert (one.status, one.total) == (64003, 0) and not kept(world)
        assert one.details.startswith("mails.csv: 1 rows cannot be read. row 3: it has 3 cells, the header has 2")


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


def test_mask_pngs_and_spans(world: World, start_worker: Start) -> None:
    start_worker()
    numbers = np.zeros((6, 8), np.uint8)
    numbers[:2] = 1
    file = io.BytesIO()
    Image.fromarray(numbers).save(file, "PNG")
    files = {"images/a.png": png(), "masks/a.png": file.getvalue(), "classes.txt": b"background\nsky\n"}
    one, _ = imported(world, "masks.zip", zipped(files))
    assert counts(one) == (1, 1, 0, 0)
    (region,) = kept(world)["a.png"]["regions"]
    pixels = np.asarray(Image.open(io.BytesIO(world.blobs.read(region.region_info.mask.image.url)), formats=["PNG"]))
    assert (pixels == (numbers > 0)).all() and region.data.concepts[0].id == "sky"
    one, rows = imported(world, "names.conll", b"EU B-ORG\nrejects O\nNew B-LOC\nYork I-LOC\n")
    assert counts(one) == (1, 1, 0, 0)
    spans = [r.region_info.span for r in kept(world)[rows[0].input_id]["regions"]]
    assert [(span.char_start, span.char_end) for span in spans] == [(0, 2), (11, 19)]


def test_conversations_are_texts_that_hold_their_messages(world: World, start_worker: Start) -> None:
    start_worker()
    one, _ = imported(world, "chat.jsonl", b'{"id": "c", "prompt": "Once", "completion": " upon"}\n')
    assert counts(one) == (1, 1, 0, 0)
    kept_one = kept(world)["c"]
    turns = [{"role": "prompt", "content": "Once"}, {"role": "completion", "content": " upon"}]
    assert json.loads(kept_one["bytes"]) == {"messages": turns} and kept_one["metadata"] == {"format": "messages"}


def test_ids_follow_the_platforms_rule(world: World, start_worker: Start) -> None:
    start_worker()
    names = {"a/b.png": "a_b.png", "a_b/../x": "", "c/" + "x" * 200 + ".png": "long", "d/e\u202ef.png": "d_e_f.png"}
    files = {name: png() for name in names if ".." not in name} | {"a/a_b.png": png(), "a/a/b.png": png()}
    one, rows = imported(world, "data.zip", zipped(files))
    assert one.rejected == 0
    ids = {item.name: item.input_id for item in rows}
    assert ids["a/b.png"] == "a_b.png" and ids["d/e\u202ef.png"] == "d_e_f.png"
    assert len(ids["c/" + "x" * 200 + ".png"]) == 128
    assert {ids["a/a_b.png"], ids["a/a/b.png"]} == {"a_a_b.png", "a_a_b.png-2"}


# -- what goes wrong ---------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", ["zip slip", "symlink in tar", "nested zip", "encrypted", "tar.gz cut off"])
def test_bad_F16_hostile_archives_fail_their_import(world: World, start_worker: Start, name: str) -> None:
    start_worker()
    data, says = REFUSED[name]
    one, rows = imported(world, "data.zip", data)
    assert (one.status, rows) == (67000, []) and says in one.details
    assert not kept(world) and not list(world.settings.data_dir.glob("import-*"))
    assert not list(world.settings.data_dir.parent.rglob("evil"))


def test_bad_F16_caps_are_settings(tmp_path: Path) -> None:
    world = World(tmp_path / "data", max_archive_files=3)
    worker = Worker(world.settings, "w", introduce=False)
    worker.start()
    one, _ = imported(world, "data.zip", zipped({f"a/{n}.png": png() for n in range(4)}))
    assert one.status == 67000 and "more than 3 files" in one.details
    worker.end_at_once()
    assert worker.join(10)
    world.close()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("data.bin", b"what is this", "the ending .bin is not known"),
        ("data", b"what is this", "the ending (none) is not known"),
        ("data.csv", b"a,b\n1,2\n", "data.csv: one column must be called text, image or input"),
        ("data.csv", b"text,label\n", "data.csv: there is no input in it"),
        ("data.csv", b"image,label\n../../luthier.db,x\n", None),
        ("data.csv", b"image,label\n../luthier.db,x\n/etc/passwd,y\nluthier.db,z\ndata.csv,s\n", None),
        ("data.json", b'{"a": 1}', "it is JSON of no form that is known"),
        ("data.csv", "text,label\nä,b\n".encode("latin-1"), "data.csv is not UTF-8: byte 11 (in line 2)"),
    ],
)
def test_files_that_cannot_be_read_say_why(
    world: World, start_worker: Start, name: str, data: bytes, says: str | None
) -> None:
    start_worker()
    one, rows = imported(world, name, data)
    if says:
        assert (one.status, rows) == (64003, []) and says in one.details
    else:
        assert one.status == 64002 and one.rejected == one.total and "/data/" not in str(rows)
    assert str(world.settings.data_dir) not in one.details and not kept(world)


def test_bad_E1_E2_E10_texts_and_labels_over_the_caps(tmp_path: Path) -> None:
    world = World(tmp_path / "data", max_input_mb=1)
    worker = Worker(world.settings, "w", introduce=False)
    worker.start()
    rows = [{"text": "x" * (2**20 + 1)}, {"text": " \n"}, {"text": "fine", "label": "x" * 10_000}, {"text": "good"}]
    data = "\n".join(json.dumps(one) for one in rows).encode()
    one, told = imported(world, "texts.jsonl", data, keep_good=True)
    assert counts(one) == (4, 1, 0, 3)
    reasons = {item.name: (item.status, item.details) for item in told if not item.input_id}
    assert reasons["row-1"][0] == 30105 and "takes 1048577 bytes; at most 1 MiB" in reasons["row-1"][1]
    assert reasons["row-2"] == (30104, "the text is empty or holds nothing but spaces")
    assert "its name has 10000 characters, at most 128 are allowed" in reasons["row 3"][1]
    worker.end_at_once()
    assert worker.join(10)
    world.close()


def test_bad_E5_texts_are_stored_exactly(world: World, start_worker: Start) -> None:
    start_worker()
    texts = [
        "\u202eRTL\u2066x\u2069",
        "Z\u0351\u0326a",
        "👩\u200d👩\u200d👧",
        "\U000e0fff",
        "a\x00b\x1b[31m",
        "<script>{{7*7}}",
    ]
    data = "\n".join(json.dumps({"id": str(n), "text": text}) for n, text in enumerate(texts)).encode()
    one, _ = imported(world, "texts.jsonl", data)
    assert counts(one) == (len(texts), len(texts), 0, 0)
    assert [kept(world)[str(n)]["bytes"].decode() for n in range(len(texts))] == texts


def test_bytes_that_changed_on_disk_fail_the_import(world: World, start_worker: Start) -> None:
    seq = begin(world, "data.zip", zipped({"a/b.png": png()}))
    file = UploadFiles(world.settings).path(row(world, seq).upload or 0)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    start_worker()
    assert "are not what arrived" in ended(world, seq).details


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


# -- the documented columns --------------------------------------------------------------------------------------------


def test_urls_metadata_and_places_of_a_table(tmp_path: Path) -> None:
    picture = png()
    web = Web(by_path(good=answer(picture), missing=answer(status="404 Not Found")))
    world = World(tmp_path / "data", fetch_allow=web.allow)
    worker = Worker(world.settings, "w", introduce=False)
    worker.start()
    table = (
        "inputid,input,concepts,metadata,geopoints\n"
        f"one,{web.url('/good.png?key=secret')},\"cat,pet\",\"{{'who': 'ann', 'split': 'valid'}}\",\"8.5,47.25\"\n"
        f"two,{web.url('/missing.png')},cat,,\n"
        "three,http://127.0.0.1:1/a.png,cat,,\n"
        "four,http://user:pw@x/a.png,cat,,\n"
    )
    one, rows = imported(world, "pictures.csv", table.encode(), dataset_ids=("all",))
    assert [item.status for item in rows] == [30000, 30000, 30106, 30106], rows
    assert counts(one) == (4, 2, 0, 2)
    seen = world.until(lambda: (k := _statuses(world)) and 30001 not in k.values() and k)
    assert seen == {"one": 30000, "two": 47101}
    with world.database.read() as connection:
        kept_one = connection.execute(select(tables.inputs).where(tables.inputs.c.id == "one")).mappings().one()
    message = resources_pb2.Input.FromString(kept_one["message"]).data
    assert world.blobs.read(kept_one["blob"]) == picture and kept_one["split"] == "val"
    assert dict(message.metadata.items()) == {"who": "ann", "split": "val"}
    assert (message.geo.geo_point.longitude, message.geo.geo_point.latitude) == (8.5, 47.25)
    assert "secret" not in str(message) + str(rows)
    again, _ = imported(world, "pictures.csv", table.encode(), dataset_ids=("all",))
    assert counts(again) == (4, 0, 2, 2)
    unnamed, rows = imported(world, "more.csv", f"image,label\n{web.url('/good.png?key=secret')},cat\n".encode())
    assert counts(unnamed) == (1, 1, 0, 0) and "secret" not in str(rows) and rows[0].input_id.startswith("url-")
    worker.end_at_once()
    assert worker.join(10)
    world.close()
    web.close()


def test_metadata_keep_to_the_rules_of_the_wire(world: World, start_worker: Start) -> None:
    start_worker()
    deep: Any = 1
    for _ in range(9):
        deep = {"a": deep}
    rows = [deep, {"a": "x" * 70_000}, {"split": "trial"}, {"split": "test"}]
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(["inputid", "text", "metadata"])
    table.writerows([str(n), "words", json.dumps(row)] for n, row in enumerate(rows))
    one, told = imported(world, "texts.csv", out.getvalue().encode())
    assert counts(one) == (4, 1, 0, 3) and kept(world)["3"]["split"] == "test"
    said = [item.details for item in told]
    assert "more than 8 levels" in said[0] and "at most 65536" in said[1] and "metadata.split is trial" in said[2]


def _statuses(world: World) -> dict[str, int]:
    with world.database.read() as connection:
        return {row.id: row.status for row in connection.execute(select(tables.inputs.c.id, tables.inputs.c.status))}
