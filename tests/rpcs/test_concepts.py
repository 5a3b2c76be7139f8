"""Concepts: create, read, list, patch."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import DoesNotExist, InvalidConcept, InvalidRequest
from luthier.rpcs.concepts import GetConcept, ListConcepts, PatchConcepts, PostConcepts
from luthier.rpcs.context import Context

App = resources_pb2.UserAppIDSet
Concept = resources_pb2.Concept


def post(ctx: Context, in_app: App, *concepts: Concept) -> list[Concept]:
    return list(PostConcepts(ctx, service_pb2.PostConceptsRequest(user_app_id=in_app, concepts=concepts)).concepts)


def get(ctx: Context, in_app: App, id: str) -> Concept:
    return GetConcept(ctx, service_pb2.GetConceptRequest(user_app_id=in_app, concept_id=id)).concept


def listed(ctx: Context, in_app: App, **request: object) -> list[str]:
    answer = ListConcepts(ctx, service_pb2.ListConceptsRequest(user_app_id=in_app, **request))
    return [concept.id for concept in answer.concepts]


def test_a_concept_is_made_and_read_back(ctx: Context, in_app: App) -> None:
    made = post(ctx, in_app, Concept(id="cat", name="Katze"), Concept(id="dog"))
    assert [(concept.id, concept.name) for concept in made] == [("cat", "Katze"), ("dog", "dog")]
    assert get(ctx, in_app, "cat") == made[0]
    assert (made[0].app_id, made[0].user_id, made[0].value, made[0].language) == ("pets", "ann", 1.0, "en")


def test_lists_page_and_match_wildcards(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, *(Concept(id=f"c{number}") for number in range(5)), Concept(id="d1"))
    assert listed(ctx, in_app, page=2, per_page=4) == ["c4", "d1"]
    assert listed(ctx, in_app, id="c*") == ["c0", "c1", "c2", "c3", "c4"]
    assert listed(ctx, in_app, page=3, per_page=4) == []


def test_a_concept_is_renamed(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, Concept(id="cat"))
    request = service_pb2.PatchConceptsRequest(
        user_app_id=in_app, concepts=[Concept(id="cat", name="Katze", value=1)], action="overwrite"
    )
    assert PatchConcepts(ctx, request).concepts[0].name == "Katze"
    assert get(ctx, in_app, "cat").name == "Katze"


def test_duplicates_are_40003_and_say_so(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, Concept(id="cat"))
    with pytest.raises(InvalidConcept, match="duplicate") as error:
        post(ctx, in_app, Concept(id="dog"), Concept(id="cat"))
    assert error.value.code == 40003
    assert listed(ctx, in_app) == ["cat"]


@pytest.mark.parametrize("id", ["Not spam", "Äpfel", "猫", "a:b", "50%", "x' OR 1=1--", "😀"])
def test_bad_B2_B6_ids_of_concepts_are_peoples_words(ctx: Context, in_app: App, id: str) -> None:
    post(ctx, in_app, Concept(id=id))
    assert get(ctx, in_app, id).id == id


@pytest.mark.parametrize(
    "id", ["a/b", "a\\b", " a", "a ", "a\nb", "a\x00", "\u202eabc", "a\u200bb", "A\u0308pfel", "..", "x" * 129]
)
def test_bad_B2_B3_B4_B5_ids_of_concepts_that_are_refused(ctx: Context, in_app: App, id: str) -> None:
    with pytest.raises(InvalidRequest):
        post(ctx, in_app, Concept(id=id))
    assert listed(ctx, in_app) == []


def test_bad_B7_the_same_concept_fifty_times_at_once(ctx: Context, in_app: App) -> None:
    def make(_: int) -> str:
        try:
            return post(ctx, in_app, Concept(id="cat"))[0].id
        except InvalidConcept as error:
            return str(error.code)

    with ThreadPoolExecutor(50) as pool:
        assert sorted(pool.map(make, range(50))) == ["40003"] * 49 + ["cat"]


def test_bad_B8_B1_unknown_and_empty_ids(ctx: Context, in_app: App) -> None:
    with pytest.raises(DoesNotExist):
        get(ctx, in_app, "nothing")
    with pytest.raises(InvalidRequest):
        get(ctx, in_app, "")


def test_bad_B14_a_filter_longer_than_any_id(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest):
        listed(ctx, in_app, id="*" * 60_000)


def test_bad_E10_a_long_name_is_refused(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidConcept, match="at most 1000"):
        post(ctx, in_app, Concept(id="cat", name="x" * 10_000))
