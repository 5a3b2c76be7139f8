"""Counts of an app, counts of labels, concepts by the beginning of their names."""

from dataclasses import replace

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import MessageToDict

from luthier.errors import DoesNotExist, InvalidRequest
from luthier.rpcs.concept_searches import PostConceptsSearches
from luthier.rpcs.concepts import PostConcepts
from luthier.rpcs.context import Context
from luthier.rpcs.counts import GetConceptCounts, GetResourceCounts
from luthier.rpcs.models import PostModels
from tests.rpcs.conftest import caller, make_user
from tests.rpcs.trainable import add_concept, add_dataset, add_input, cats_and_dogs

App = resources_pb2.UserAppIDSet


def test_what_an_app_holds(ctx: Context, in_app: App) -> None:
    cats_and_dogs(ctx, 2)
    add_dataset(ctx, "d")
    model = resources_pb2.Model(id="m", model_type_id="visual-classifier")
    PostModels(ctx, service_pb2.PostModelsRequest(user_app_id=in_app, models=[model]))
    found = GetResourceCounts(ctx, service_pb2.GetResourceCountsRequest(user_app_id=in_app))
    assert (found.inputs, found.datasets, found.models, found.workflows) == (4, 1, 1, 0)
    bob = replace(ctx, caller=caller(make_user(ctx.database, "bob"), "bob"))
    with pytest.raises(DoesNotExist):
        GetResourceCounts(bob, service_pb2.GetResourceCountsRequest(user_app_id=in_app))


def test_labels_are_counted_by_concept_and_status(ctx: Context, in_app: App) -> None:
    cat, dog = add_concept(ctx, "cat"), add_concept(ctx, "dog")
    for number, status in enumerate((30000, 30000, 30001, 30300)):
        add_input(ctx, f"i{number}", {cat: 1, dog: 0}, status=status)
    answer = GetConceptCounts(ctx, service_pb2.GetConceptCountsRequest(user_app_id=in_app))
    first, second = answer.concept_counts
    assert (first.id, first.name, first.concept_type_count.positive) == ("cat", "Cat", 4)
    assert MessageToDict(first.detail_concept_count) == {
        "processed": {"positive": 2},
        "toProcess": {"positive": 1},
        "errors": {"positive": 1},
    }
    assert (second.concept_type_count.positive, second.concept_type_count.negative) == (0, 4)
    second_page = service_pb2.GetConceptCountsRequest(user_app_id=in_app, page=2, per_page=1)
    assert [one.id for one in GetConceptCounts(ctx, second_page).concept_counts] == ["dog"]


def search(ctx: Context, in_app: App, name: str, **more: object) -> list[str]:
    query = resources_pb2.ConceptQuery(name=name, **more)
    request = service_pb2.PostConceptsSearchesRequest(user_app_id=in_app, concept_query=query)
    return [concept.id for concept in PostConceptsSearches(ctx, request).concepts]


def test_concepts_by_the_beginning_of_a_name_or_id(ctx: Context, in_app: App) -> None:
    names = {"c1": "Äpfel", "c2": "Hot dog", "dog": "Hund", "c4": "50%", "c5": "ÄPFELKUCHEN"}
    sent = [resources_pb2.Concept(id=id, name=name) for id, name in names.items()]
    PostConcepts(ctx, service_pb2.PostConceptsRequest(user_app_id=in_app, concepts=sent))
    assert search(ctx, in_app, "äpfel") == ["c1", "c5"]
    assert search(ctx, in_app, "DOG") == ["dog"]
    assert search(ctx, in_app, "*dog") == ["c2", "dog"]
    assert search(ctx, in_app, "hu") == ["dog"]
    assert search(ctx, in_app, "5_%") == [] and search(ctx, in_app, "50%") == ["c4"]
    assert search(ctx, in_app, "") == list(names)
    assert search(ctx, in_app, "", language="zh") == []


def test_pages_of_a_concept_search(ctx: Context, in_app: App) -> None:
    for number in range(5):
        add_concept(ctx, f"c{number}")
    request = service_pb2.PostConceptsSearchesRequest(
        user_app_id=in_app,
        concept_query={"name": "c"},
        pagination=service_pb2.Pagination(page=2, per_page=2),
    )
    assert [concept.id for concept in PostConceptsSearches(ctx, request).concepts] == ["c2", "c3"]


@pytest.mark.parametrize("name", ["x" * 1001, "*" * 9])
def test_bad_B14_patterns_that_only_cost_time(ctx: Context, in_app: App, name: str) -> None:
    with pytest.raises(InvalidRequest):
        search(ctx, in_app, name)


def test_concepts_of_models_are_asked_for_elsewhere(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest, match="ListModelConcepts"):
        search(ctx, in_app, "", model=resources_pb2.Model(id="m"))
