"""Models by the beginning of their ids and names, and by their type."""

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import DoesNotExist, InvalidRequest
from luthier.rpcs.apps import PostApps
from luthier.rpcs.context import Context
from luthier.rpcs.model_searches import PostModelsSearches
from luthier.rpcs.models import PostModels

App = resources_pb2.UserAppIDSet


@pytest.fixture
def filled(ctx: Context, in_app: App) -> Context:
    """Three models in `pets`, one in `plants`."""
    PostApps(ctx, service_pb2.PostAppsRequest(user_app_id=in_app, apps=[resources_pb2.App(id="plants")]))
    for app, id, name, kind in (
        ("pets", "cats-1", "Äpfel", "visual-classifier"),
        ("pets", "dogs", "Cats and dogs", "visual-detector"),
        ("pets", "birds", "", "visual-classifier"),
        ("plants", "cats-2", "", "visual-classifier"),
    ):
        model = resources_pb2.Model(id=id, name=name, model_type_id=kind)
        PostModels(ctx, service_pb2.PostModelsRequest(user_app_id=App(app_id=app), models=[model]))
    return ctx


def search(ctx: Context, app: str, name: str = "", kind: str = "", **page: int) -> list[str]:
    request = service_pb2.PostModelsSearchesRequest(
        user_app_id=App(user_id="me", app_id=app),
        model_query=resources_pb2.ModelQuery(name=name, model_type_id=kind),
        pagination=service_pb2.Pagination(**page),
    )
    return [model.id for model in PostModelsSearches(ctx, request).models]


def test_models_are_found_by_how_they_begin_and_by_type(filled: Context) -> None:
    assert search(filled, "pets", "CATS") == ["cats-1", "dogs"]
    assert search(filled, "pets", "cats", "visual-detector") == ["dogs"]
    assert search(filled, "pets", "äpf") == ["cats-1"]
    assert search(filled, "pets", "*dogs") == ["dogs"]
    assert search(filled, "pets", "at") == []
    assert search(filled, "pets") == ["cats-1", "dogs", "birds"]
    assert search(filled, "pets", page=2, per_page=2) == ["birds"]
    assert search(filled, "pets", "*", page=2, per_page=2) == ["birds"]
    assert search(filled, "", "cats") == ["cats-1", "dogs", "cats-2"]


def test_what_cannot_be_is_said(filled: Context) -> None:
    with pytest.raises(InvalidRequest, match="visual-classifier"):
        search(filled, "pets", kind="visual-guess")
    with pytest.raises(InvalidRequest, match="8 times"):
        search(filled, "pets", "*" * 9)
    with pytest.raises(DoesNotExist):
        search(filled, "none")
