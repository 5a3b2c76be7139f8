"""Regions reach the frozen manifest as they were drawn, and the counts tell of them."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import delete, update

from luthier.data.readers import mask_pngs
from luthier.runs.manifest import Example, Region, example_from_line
from luthier.store import annotations, collection, regions
from luthier.store.annotations import NewAnnotation
from luthier.store.regions import RegionRow
from luthier.store.tables import annotations as annotations_table
from luthier.store.tables import concepts, inputs
from luthier.worker.loop import Worker
from tests.worker.world import World

Start = Callable[..., Worker]
Digits = list[tuple[str, bytes]]
BOX = (0.1, 0.2, 0.5, 0.600000024)
POLYGON = (0.1, 0.1, 0.9, 0.1, 0.5, 0.8)


def annotate(world: World, input: int, *rows: RegionRow, status: int = 24150) -> None:
    with world.database.write() as connection:
        new = NewAnnotation(input, f"note{status}-{len(rows)}", False, b"", {}, rows)
        annotations.add(connection, world.app, "ada", status, [new])


def concept(world: World, id: str) -> int:
    if id not in world.concepts:
        with world.database.write() as connection:
            facts = {"app": world.app, "id": id, "name": id, "message": b"", "created_at": 1.0, "modified_at": 1.0}
            world.concepts[id] = world._add(connection, concepts, **facts)
    return world.concepts[id]


def frozen(world: World, seq: int) -> tuple[list[Example], dict[str, Any]]:
    row = world.until(lambda: (r := world.dataset_version(seq))["status"] in (64015, 64020) and r)
    assert row["status"] == 64015, row["details"]
    lines = world.blobs.read(row["manifest"]).decode().splitlines()
    return [example_from_line(line) for line in lines], row["counts"]


def mask_png(pixels: np.ndarray, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return file.getvalue()


def drawn() -> np.ndarray:
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:5, 3:7] = 255
    pixels[0, 0] = 255
    return pixels


def test_boxes_polygons_points_spans_and_masks_are_frozen(world: World, digits: Digits, start_worker: Start) -> None:
    cat, dog = concept(world, "cat"), concept(world, "dog")
    (seq,) = world.add_inputs([("", digits[0][1])])
    (sha,) = world.blobs.put_many([mask_png(drawn())])
    annotate(
        world,
        seq,
        RegionRow("box", BOX, {cat: 1}),
        RegionRow("polygon", POLYGON, {dog: 1}),
        RegionRow("point", (0.25, 0.75), {cat: 1}),
        RegionRow("mask", (), {dog: 1}, sha),
        RegionRow("box", BOX, {cat: 0}),
        RegionRow("box", BOX, {}),
        RegionRow("span", (3, 7), {cat: 1, dog: 1}),
    )
    start_worker()
    (example,), counts = frozen(world, world.snapshot())
    assert example.regions == (
        Region("box", "cat", (0.1, 0.2, 0.5, 0.6)),
        Region("polygon", "dog", POLYGON),
        Region("point", "cat", (0.25, 0.75)),
        mask_pngs.region_of(drawn() > 0, "dog"),
        Region("span", "cat", (3, 7)),
        Region("span", "dog", (3, 7)),
    )
    assert counts["kinds"] == {"boxes": 3, "polygons": 1, "points": 1, "masks": 1, "spans": 1}
    assert (counts["regions"], counts["region_inputs"], counts["positive_region_tags"]) == (7, 1, 6)
    assert (counts["positive_tags"], counts["unlabeled_inputs"]) == (0, 0)
    assert counts["per_input"]["boxes"] == {"3": 1}
    of_cat = {"boxes": 1, "points": 1, "spans": 1, "region_inputs": 1, "regions_only": 1}
    assert counts["per_concept"]["cat"] == {"positive": 0, "negative": 0, **of_cat}


def test_parts_of_one_object_are_a_group(world: World, digits: Digits, start_worker: Start) -> None:
    cat = concept(world, "cat")
    (seq,) = world.add_inputs([("", digits[0][1])])
    rows = [RegionRow("polygon", POLYGON, {cat: 1}, object=object) for object in ("a", "", "b", "alone", "a", "b")]
    annotate(world, seq, *rows)
    annotate(world, seq, RegionRow("polygon", POLYGON, {cat: 1}, object="a"))  # another annotation's object
    start_worker()
    (example,), _ = frozen(world, world.snapshot())
    assert [region.group for region in example.regions] == [1, 1, 0, 2, 2, 0, 0]


def test_what_does_not_count_or_was_deleted_is_left_out(world: World, digits: Digits, start_worker: Start) -> None:
    cat, gone = concept(world, "cat"), concept(world, "gone")
    seqs = world.add_inputs([("", data) for _, data in digits[:2]])
    annotate(world, seqs[0], RegionRow("box", BOX, {cat: 1}), status=24157)
    annotate(world, seqs[1], RegionRow("box", BOX, {cat: 1, gone: 1}))
    with world.database.write() as connection:
        connection.execute(delete(concepts).where(concepts.c.seq == gone))
    start_worker()
    examples, _ = frozen(world, world.snapshot())
    assert [[region.concept for region in example.regions] for example in examples] == [[], ["cat"]]


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (mask_png(np.ones((4, 4), np.uint8)), "a mask is 4x4 pixels, the picture 8x8"),
        (mask_png(drawn(), "RGB"), "colours are RGB"),
        (mask_png(drawn())[:-30], "a mask cannot be decoded: file ends early"),
        (b"", "a mask cannot be decoded"),
    ],
    ids=["size", "colours", "cut", "nothing"],
)
def test_bad_F3_a_mask_that_fits_nothing_makes_its_input_invalid(
    world: World, digits: Digits, start_worker: Start, mask: bytes, said: str
) -> None:
    cat = concept(world, "cat")
    good, bad = world.add_inputs([("", data) for _, data in digits[:2]])
    whole, broken = world.blobs.put_many([mask_png(drawn()), mask])
    annotate(world, good, RegionRow("mask", (), {cat: 1}, whole))
    annotate(world, bad, RegionRow("mask", (), {cat: 1}, whole), RegionRow("mask", (), {cat: 1}, broken))
    start_worker()
    examples, counts = frozen(world, world.snapshot())
    assert [[bool(region.runs) for region in example.regions] for example in examples] == [[True], [False, False]]
    assert examples[1].regions[0].concept == "cat"  # so that it counts among what cannot be used
    assert examples[1].invalid.startswith("24155 ") and said in examples[1].invalid
    assert (counts["invalid"], sum(counts["splits"].values())) == (1, 1)


def test_inputs_whose_regions_carry_the_concepts_are_learnt_from(
    world: World, digits: Digits, start_worker: Start
) -> None:
    seqs = world.add_inputs([("a", digits[0][1]), ("", digits[1][1]), ("", digits[2][1])], dataset=False)
    annotate(world, seqs[1], RegionRow("box", BOX, {concept(world, "b"): 1}))
    seq = world.add_dataset_version(dataset=False)
    with world.database.read() as connection:
        from luthier.store import snapshots

        version = snapshots.by_seq(connection, seq)
        assert version is not None
        found = [
            member.regions[0].kind if member.regions else ""
            for member in snapshots.members(connection, version, ["a", "b"])
        ]
    assert found == ["", "box"]


def test_files_of_masks_stay_as_long_as_their_annotation(world: World, digits: Digits) -> None:
    cat = concept(world, "cat")
    seqs = world.add_inputs([("", data) for _, data in digits[:2]])
    shas = world.blobs.put_many([mask_png(drawn()), mask_png(255 - drawn())])
    for seq, sha in zip(seqs, shas, strict=True):
        annotate(world, seq, RegionRow("mask", (), {cat: 1}, sha))
    with world.database.write() as connection:
        connection.execute(delete(inputs).where(inputs.c.seq == seqs[1]))
    collection.collect(world.database, world.blobs, grace_seconds=-10)
    assert [world.blobs.exists(sha) for sha in shas] == [True, False]
    with world.database.write() as connection:
        annotation = connection.execute(annotations_table.select()).mappings().one()
        regions.replace(connection, [(annotation["seq"], seqs[0], [])])
        connection.execute(update(annotations_table).values(status=24150))
    collection.collect(world.database, world.blobs, grace_seconds=-10)
    assert not world.blobs.exists(shas[0])


def test_bad_F4_a_version_keeps_its_copy_of_a_concept_that_is_deleted(
    world: World, digits: Digits, start_worker: Start
) -> None:
    (seq,) = world.add_inputs([("cat", digits[0][1])])
    annotate(world, seq, RegionRow("box", BOX, {concept(world, "cat"): 1}))
    start_worker()
    first = world.snapshot()
    before, counts = frozen(world, first)
    with world.database.write() as connection:
        connection.execute(delete(concepts))
    assert frozen(world, first) == (before, counts)
    assert (before[0].labels, before[0].regions[0].concept) == ({"cat": 1}, "cat")
    (after,), _ = frozen(world, world.snapshot())
    assert (after.labels, after.regions) == ({}, ())
