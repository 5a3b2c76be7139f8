"""An app with something to learn from, and the requests of the training flow, for the tests of the model side."""

from collections.abc import Mapping
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from sqlalchemy import insert, select, update

from luthier.rpcs.context import Context
from luthier.rpcs.model_versions import PostModelVersions
from luthier.rpcs.models import PostModels
from luthier.store import tables, versions
from luthier.store.database import now
from luthier.store.versions import Version

IN_APP = resources_pb2.UserAppIDSet(user_id="me", app_id="pets")
TINY = "luthier_tiny_resnet"


def app_seq(ctx: Context, id: str = "pets") -> int:
    with ctx.database.read() as connection:
        return int(connection.execute(select(tables.apps.c.seq).where(tables.apps.c.id == id)).scalar_one())


def add(ctx: Context, table: Any, **values: Any) -> int:
    with ctx.database.write() as connection:
        return int(connection.execute(insert(table).values(**values)).inserted_primary_key[0])


def add_concept(ctx: Context, id: str, app: str = "pets") -> int:
    times = {"created_at": now(), "modified_at": now()}
    return add(ctx, tables.concepts, app=app_seq(ctx, app), id=id, name=id.title(), message=b"", **times)


def add_input(
    ctx: Context,
    id: str,
    labels: Mapping[int, int],
    *,
    status: int = 30000,
    dataset: int = 0,
    kind: str = "image",
    size: int = 1,
) -> int:
    """An input with one annotation of labels: concept seq -> 1 or 0."""
    app, times = app_seq(ctx), {"created_at": now(), "modified_at": now()}
    shape = {"kind": kind, "blob": "0" * 64, "size": size, "format": "PNG", "width": 8, "height": 8}
    input = add(ctx, tables.inputs, app=app, id=id, status=status, message=b"", **shape, **times)
    row = {"app": app, "input": input, "id": "own", "user": "ann", "status": 24150, "own": True, "message": b""}
    annotation = add(ctx, tables.annotations, **row, **times)
    for concept, value in labels.items():
        add(ctx, tables.labels, annotation=annotation, concept=concept, input=input, value=value)
    if dataset:
        add(ctx, tables.dataset_inputs, dataset=dataset, input=input, created_at=now())
    return input


def add_dataset(ctx: Context, id: str, app: str = "pets") -> int:
    times = {"created_at": now(), "modified_at": now()}
    return add(ctx, tables.datasets, app=app_seq(ctx, app), id=id, message=b"", **times)


def cats_and_dogs(ctx: Context, each: int = 10) -> dict[str, int]:
    """Seqs of two concepts, each with that many pictures."""
    concepts = {id: add_concept(ctx, id) for id in ("cat", "dog")}
    for id, seq in concepts.items():
        for number in range(each):
            add_input(ctx, f"{id}-{number}", {seq: 1})
    return concepts


def make_model(ctx: Context, id: str = "m", model_type_id: str = "visual-classifier") -> resources_pb2.Model:
    model = resources_pb2.Model(id=id, model_type_id=model_type_id)
    answer = PostModels(ctx, service_pb2.PostModelsRequest(user_app_id=IN_APP, models=[model]))
    made: resources_pb2.Model = answer.model
    return made


def training(
    template: str = TINY, concepts: tuple[str, ...] = ("cat", "dog"), **params: Any
) -> resources_pb2.ModelVersion:
    version = resources_pb2.ModelVersion()
    version.train_info.params.update({"template": template, **params} if template else params)
    version.output_info.data.concepts.extend(resources_pb2.Concept(id=id) for id in concepts)
    return version


def post(ctx: Context, version: resources_pb2.ModelVersion, model_id: str = "m") -> resources_pb2.Model:
    request = service_pb2.PostModelVersionsRequest(user_app_id=IN_APP, model_id=model_id, model_versions=[version])
    model: resources_pb2.Model = PostModelVersions(ctx, request).model
    return model


def row_of(ctx: Context, version_id: str) -> Version:
    with ctx.database.read() as connection:
        found = versions.by_id(connection, version_id)
    assert found is not None
    return found


def set_version(ctx: Context, version_id: str, **columns: Any) -> None:
    table = tables.model_versions
    with ctx.database.write() as connection:
        connection.execute(update(table).where(table.c.id == version_id).values(**columns))


def finish_training(ctx: Context, version_id: str, results: dict[str, Any] | None = None) -> None:
    """What the worker does when a run has ended well."""
    seq = row_of(ctx, version_id).seq
    with ctx.database.write() as connection:
        versions.to_training(connection, seq, run_folder=version_id, details="")
        versions.to_trained(connection, seq, "checkpoints/best", results or {}, 20)
