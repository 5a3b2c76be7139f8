"""A context with a real database and a real blob folder, and a caller who has one app."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from sqlalchemy import insert

from luthier.predictors.client import PredictorsClient
from luthier.rpcs.apps import PostApps
from luthier.rpcs.context import Caller, Context
from luthier.settings import Settings
from luthier.store import tables
from luthier.store.blobs import Blobs
from luthier.store.database import Database, now
from tests import sqlite


def make_user(database: Database, id: str) -> int:
    with database.write() as connection:
        result = connection.execute(insert(tables.users).values(id=id, message=b"", created_at=now()))
        return int(result.inserted_primary_key[0])


def caller(seq: int, id: str, app: int | None = None) -> Caller:
    return Caller(user=seq, user_id=id, token_id="t", scopes=frozenset({"All"}), app=app)


@pytest.fixture
def bare(tmp_path: Path, database_url: str) -> Iterator[Context]:
    """A user `ann` who has nothing yet; nearly every test runs on both kinds of database."""
    settings = Settings(data_dir=tmp_path, database_url=database_url)
    if not database_url:
        sqlite.make(settings.database_file)
    database = Database.of(settings)
    blobs = Blobs(settings.blobs_folder)
    ann = caller(make_user(database, "ann"), "ann")
    yield Context(ann, database, blobs, PredictorsClient(settings.predictors_socket), settings)
    blobs.close()
    database.close()


@pytest.fixture
def in_app() -> resources_pb2.UserAppIDSet:
    return resources_pb2.UserAppIDSet(user_id="me", app_id="pets")


@pytest.fixture
def ctx(bare: Context, in_app: resources_pb2.UserAppIDSet) -> Context:
    """`bare` with the app `pets`."""
    PostApps(bare, service_pb2.PostAppsRequest(user_app_id=in_app, apps=[resources_pb2.App(id="pets")]))
    return bare
