"""What uploads of every layout become, and what each bad one gets: accepted or rejected, with its reason."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clarifai_grpc.grpc.api import resources_pb2
from PIL import Image
from sqlalchemy import select

from luthier.store import tables
from luthier.store.upload_files import UploadFiles
from luthier.worker.loop import Worker
from tests.data.test_archives import REFUSED, zipped
from tests.worker.importing import begin, counts, ended, imported, kept, png, row
from tests.worker.web import Server as Web
from tests.worker.web import answer, by_path
from tests.worker.world import World

Start = Callable[..., Worker]


# -- layouts -----------------------------------------------------------------------------------------------------------


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
