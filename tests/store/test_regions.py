"""Regions beside the messages of annotations: written, replaced, read for freezing; and read out of old messages."""

from typing import Any

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.json_format import ParseDict
from sqlalchemy import column, insert, select
from sqlalchemy import table as sql_table

from luthier.rpcs import regions as rpcs_regions
from luthier.store import regions, snapshots
from luthier.store.annotations import Changed, NewAnnotation, add, rewrite
from luthier.store.database import Connection, Database
from luthier.store.migrations import migrate
from luthier.store.regions import Marked, RegionRow
from luthier.store.tables import masks, region_labels
from luthier.store.tables import regions as table
from tests.worker.world import TIMES, World

BOX = (0.1, 0.2, 0.5, 0.6)


def annotate(world: World, input: int, id: str, *rows: RegionRow, status: int = 24150) -> int:
    with world.database.write() as connection:
        (seq,) = add(connection, world.app, "ada", status, [NewAnnotation(input, id, False, b"", {}, rows)])
    return seq


def marked(world: World, *inputs: int) -> dict[int, list[Marked]]:
    with world.database.read() as connection:
        return regions.marked(connection, inputs)


def test_regions_are_read_back_and_go_with_their_annotation(world: World) -> None:
    one, two = world.add_inputs([("cat", b"1"), ("dog", b"2")])
    cat, dog = world.concepts["cat"], world.concepts["dog"]
    rows = [RegionRow("box", BOX, {cat: 1, dog: 0}), RegionRow("mask", (), {dog: 1}, "ab" * 32, "o")]
    note = annotate(world, one, "a", *rows)
    annotate(world, one, "b", RegionRow("point", (0.5, 0.25), {cat: 1}, object="o"), RegionRow("box", BOX, object="o"))
    annotate(world, two, "c", RegionRow("box", BOX, {cat: 1}), status=24151)
    first = [Marked("box", BOX, {"cat": 1, "dog": 0}), Marked("mask", (), {"dog": 1}, "ab" * 32)]
    assert marked(world, one, two) == {
        one: [*first, Marked("point", (0.5, 0.25), {"cat": 1}, "", 1), Marked("box", BOX, {}, "", 1)]
    }
    with world.database.write() as connection:
        regions.replace(connection, [(note, one, [RegionRow("span", (0, 4), {dog: 1})])])
        assert connection.execute(select(masks)).all() == []
        kinds = select(region_labels.c.kind).where(region_labels.c.annotation == note)
        assert list(connection.execute(kinds).scalars()) == ["span"]
        regions.replace(connection, [(note, one, [])])
        assert connection.execute(select(table).where(table.c.annotation == note)).all() == []


def test_a_status_decides_whether_regions_count(world: World) -> None:
    (one,) = world.add_inputs([("cat", b"1")])
    note = annotate(world, one, "a", RegionRow("box", BOX, {world.concepts["cat"]: 1}), status=24157)
    assert marked(world, one) == {}
    with world.database.write() as connection:
        rewrite(connection, [Changed(note, one, 24150, b"")])
    assert len(marked(world, one)[one]) == 1


def test_a_version_without_a_dataset_finds_inputs_by_labels_and_regions(world: World) -> None:
    pictures = [("cat", b"1"), ("", b"2"), ("", b"3"), ("dog", b"4")]
    _, boxed, waiting, _ = world.add_inputs(pictures, dataset=False)
    cat = world.concepts["cat"]
    annotate(world, boxed, "a", RegionRow("box", BOX, {cat: 1}), RegionRow("box", BOX, {cat: 1}))
    annotate(world, waiting, "b", RegionRow("box", BOX, {cat: 1}), status=24151)
    seq = world.add_dataset_version(dataset=False)
    with world.database.read() as connection:
        version = snapshots.by_seq(connection, seq)
        assert version is not None
        members = list(snapshots.members(connection, version, ["cat"]))
    assert [(member.labels, len(member.regions)) for member in members] == [({"cat": 1}, 0), ({}, 2)]


# -- the first release kept regions in messages alone ------------------------------------------------------------------

SENT = {
    "annotationInfo": {"by": "hand"},
    "data": {
        "regions": [
            {
                "id": "r1",
                "trackId": "o",
                "regionInfo": {"boundingBox": {"topRow": 0.25, "leftCol": 0.1, "bottomRow": 0.5, "rightCol": 1.0}},
                "data": {"concepts": [{"id": "cat", "name": "Katze", "value": 1}, {"id": "dög", "value": 0}]},
            },
            {
                "id": "r2",
                "regionInfo": {
                    "polygon": {
                        "points": [{"row": 0, "col": 0.3, "visibility": 1}, {"row": 0.99999994, "col": 1}, {"row": 0.5}]
                    }
                },
                "data": {"concepts": [{"id": "gone", "value": 1}, {"id": "cat", "value": 1}]},
            },
            {"id": "r3", "regionInfo": {"point": {"row": 0.75, "col": 0.125, "visibility": 2}}},
        ]
    },
}


def put(connection: Connection, into: str, /, **values: Any) -> None:
    """Without the columns that a table has got since."""
    connection.execute(insert(sql_table(into, *map(column, values))).values(**values))


def test_p30_regions_in_messages_of_the_first_release_are_read_as_the_api_reads_them(database: Database) -> None:
    migrate(database, "v0001")
    message = ParseDict(SENT, resources_pb2.Annotation())
    made: dict[str, Any] = {"app": 1, **TIMES}
    picture = {"kind": "image", "blob": "", "size": 0, "format": "PNG", "width": 8, "height": 8, "split": ""}
    with database.write() as connection:
        put(connection, "users", seq=1, id="ada", message=b"", created_at=1.0)
        put(connection, "apps", seq=1, user=1, id="one", message=b"", **TIMES)
        for seq, id in ((5, "cat"), (6, "dög")):
            put(connection, "concepts", seq=seq, id=id, name=id, message=b"", **made)
        put(connection, "inputs", seq=3, id="i", status=30000, details="", message=b"", **picture, **made)
        empty = resources_pb2.Annotation(data=resources_pb2.Data()).SerializeToString()
        for seq, sent in ((7, message.SerializeToString()), (8, empty), (9, b"")):
            note = {"input": 3, "user": "ada", "own": False, "status": 24150}
            put(connection, "annotations", seq=seq, id=str(seq), message=sent, **note, **made)
    migrate(database)
    with database.read() as connection:
        (row,) = connection.execute(select(table)).all()
        labels = {tuple(one) for one in connection.execute(select(region_labels))}
    wanted = rpcs_regions.rows_of(message.data.regions, {"cat": 5, "dög": 6, "gone": 7})
    for one in wanted:
        one.labels.pop(7, None)  # type: ignore[attr-defined]  # the concept is not there any more
    assert (row.annotation, row.input, regions.unpacked(row.rows)) == (7, 3, wanted)
    assert labels == {(7, 5, "box", 1, 3), (7, 6, "box", 0, 3), (7, 5, "polygon", 1, 3)}
    before = (row.rows, labels)
    assert migrate(database, "v0001")[1] == "v0001"
    migrate(database)
    with database.read() as connection:
        (row,) = connection.execute(select(table)).all()
        assert (row.rows, {tuple(one) for one in connection.execute(select(region_labels))}) == before
