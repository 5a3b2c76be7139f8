"""Uploads of the tests, imported by a worker, and what the store holds then."""

import io
import uuid
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2
from PIL import Image
from sqlalchemy import select

from luthier.store import imports, jobs, tables, uploads
from luthier.store import inputs as stored_inputs
from luthier.store.imports import Import, Item, Request
from luthier.store.upload_files import UploadFiles
from tests.worker.world import World

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
