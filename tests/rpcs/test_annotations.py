"""Annotations: labels of whole inputs and of regions."""

import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.json_format import ParseDict

from luthier.errors import DoesNotExist, InputDoesNotExist, InvalidRequest
from luthier.rpcs.annotations import (
    DeleteAnnotation,
    DeleteAnnotations,
    GetAnnotation,
    ListAnnotations,
    PatchAnnotations,
    PostAnnotations,
)
from luthier.rpcs.concepts import ListConcepts
from luthier.rpcs.context import Context
from tests.rpcs.pictures import picture
from tests.rpcs.test_inputs import check_inputs, get, item, post, text

App = resources_pb2.UserAppIDSet
Annotation = resources_pb2.Annotation
Answer = service_pb2.MultiAnnotationResponse
BOX = {"topRow": 0.1, "leftCol": 0.2, "bottomRow": 0.5, "rightCol": 0.6}


@pytest.fixture(autouse=True)
def one_input(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("one", concepts=[{"id": "own", "value": 1}]))


def annotation(id: str = "", input_id: str = "one", **data: object) -> Annotation:
    return ParseDict({"id": id, "inputId": input_id, "data": data}, Annotation())


def cat(value: float = 1) -> list[dict[str, object]]:
    return [{"id": "cat", "value": value}]


def box(label: str = "cat", **coordinates: float) -> dict[str, object]:
    return {"regionInfo": {"boundingBox": BOX | coordinates}, "data": {"concepts": [{"id": label, "value": 1}]}}


def send(ctx: Context, in_app: App, *annotations: Annotation) -> Answer:
    return PostAnnotations(ctx, service_pb2.PostAnnotationsRequest(user_app_id=in_app, annotations=annotations))


def patch(ctx: Context, in_app: App, action: str, change: Annotation, **request: object) -> Answer:
    changes = service_pb2.PatchAnnotationsRequest(user_app_id=in_app, annotations=[change], action=action, **request)
    return PatchAnnotations(ctx, changes)


def listed(ctx: Context, in_app: App, **request: object) -> list[str]:
    answer = ListAnnotations(ctx, service_pb2.ListAnnotationsRequest(user_app_id=in_app, **request))
    return [found.id for found in answer.annotations]


def read(ctx: Context, in_app: App, id: str, input_id: str = "one") -> Annotation:
    request = service_pb2.GetAnnotationRequest(user_app_id=in_app, input_id=input_id, annotation_id=id)
    return GetAnnotation(ctx, request).annotation


def codes(answer: Answer) -> list[int]:
    return [found.status.code for found in answer.annotations]


def test_a_label_is_made_and_read_back(ctx: Context, in_app: App) -> None:
    made = send(ctx, in_app, annotation("a", concepts=cat())).annotations[0]
    assert made == read(ctx, in_app, "a")
    assert (made.input_id, made.user_id, made.status.code, made.input_level) == ("one", "ann", 24150, True)
    assert [(concept.id, concept.value) for concept in made.data.concepts] == [("cat", 1)]


def test_a_box_makes_its_concept(ctx: Context, in_app: App) -> None:
    region = send(ctx, in_app, annotation(regions=[box("Kopf")])).annotations[0].data.regions[0]
    assert (region.region_info.bounding_box.top_row, region.data.concepts[0].id) == (pytest.approx(0.1), "Kopf")
    assert len(region.id) == 32
    found = ListConcepts(ctx, service_pb2.ListConceptsRequest(user_app_id=in_app)).concepts
    assert {concept.id for concept in found} == {"own", "Kopf"}


def test_lists_hide_the_inputs_own_unless_asked(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("two", picture(colour=1)))
    send(ctx, in_app, annotation("a", concepts=cat()), annotation("b", "two", concepts=cat()))
    assert listed(ctx, in_app) == ["a", "b"]
    assert listed(ctx, in_app, list_all_annotations=True) == ["one", "a", "b"]
    assert listed(ctx, in_app, input_ids=["one"]) == ["a"]
    assert listed(ctx, in_app, ids=["one", "b"]) == ["one", "b"]
    assert listed(ctx, in_app, page=2, per_page=1) == ["b"]
    answer = ListAnnotations(ctx, service_pb2.ListAnnotationsRequest(user_app_id=in_app, page=2))
    assert [field.name for field, _ in answer.ListFields()] in ([], ["status"])


def test_patching_labels_and_regions(ctx: Context, in_app: App) -> None:
    made = send(ctx, in_app, annotation("a", concepts=cat(), regions=[box()])).annotations[0]
    region = made.data.regions[0].id
    moved = box(topRow=0.3) | {"id": region}
    after = patch(ctx, in_app, "merge", annotation("a", concepts=[{"id": "dog"}], regions=[moved])).annotations[0]
    assert {concept.id: concept.value for concept in after.data.concepts} == {"cat": 1, "dog": 0}
    assert [round(found.region_info.bounding_box.top_row, 3) for found in after.data.regions] == [0.3]
    after = patch(ctx, in_app, "remove", annotation("a", concepts=cat(), regions=[moved])).annotations[0]
    assert ([concept.id for concept in after.data.concepts], len(after.data.regions)) == (["dog"], 0)
    after = patch(ctx, in_app, "overwrite", annotation("a", concepts=cat())).annotations[0]
    assert [concept.id for concept in after.data.concepts] == ["cat"]


def test_an_annotation_left_empty_can_be_deleted(ctx: Context, in_app: App) -> None:
    send(ctx, in_app, annotation("a", concepts=cat()))
    patch(ctx, in_app, "remove", annotation("a", concepts=cat()), delete_if_empty_data=True)
    assert listed(ctx, in_app) == []


def test_the_inputs_own_annotation_shows_in_the_input(ctx: Context, in_app: App) -> None:
    patch(ctx, in_app, "merge", annotation("one", concepts=cat()))
    assert {concept.id for concept in get(ctx, in_app, "one").data.concepts} == {"own", "cat"}


def test_deleting_by_pairs_and_by_inputs(ctx: Context, in_app: App) -> None:
    post(ctx, in_app, item("two", picture(colour=1)))
    both = [annotation(id, input_id, concepts=cat()) for input_id in ("one", "two") for id in ("a", "b")]
    send(ctx, in_app, *both)

    def delete(**request: object) -> None:
        DeleteAnnotations(ctx, service_pb2.DeleteAnnotationsRequest(user_app_id=in_app, **request))

    delete(ids=["a", "b"], input_ids=["one", "two"])
    assert listed(ctx, in_app) == ["b", "a"]
    delete(input_ids=["one", "two"])
    assert listed(ctx, in_app) == []
    assert [concept.id for concept in get(ctx, in_app, "one").data.concepts] == ["own"]
    with pytest.raises(InvalidRequest):
        delete(ids=["a"], input_ids=["one", "two"])
    with pytest.raises(DoesNotExist):
        delete(ids=["a"], input_ids=["one"])


def test_bad_B7_an_annotation_id_is_taken(ctx: Context, in_app: App) -> None:
    send(ctx, in_app, annotation("a", concepts=cat()))
    again = send(
        ctx, in_app, annotation("a", concepts=cat()), annotation("b", concepts=cat()), annotation("b", concepts=cat())
    )
    assert codes(again) == [40010, 24150, 40010]
    assert listed(ctx, in_app) == ["a", "b"]


def test_bad_B8_B9_unknown_annotations(ctx: Context, in_app: App) -> None:
    send(ctx, in_app, annotation("a", concepts=cat()))
    request = service_pb2.DeleteAnnotationRequest(user_app_id=in_app, input_id="one", annotation_id="a")
    DeleteAnnotation(ctx, request)
    with pytest.raises(DoesNotExist):
        DeleteAnnotation(ctx, request)
    with pytest.raises(InputDoesNotExist):
        read(ctx, in_app, "a", "nothing")


def test_bad_C17_read_only_fields_are_not_stored(ctx: Context, in_app: App) -> None:
    sent = annotation("a", concepts=cat())
    sent.user_id, sent.trusted, sent.status.code, sent.created_at.seconds = "bob", True, 24152, 5
    made = send(ctx, in_app, sent).annotations[0]
    assert (made.user_id, made.trusted, made.status.code) == ("ann", False, 24150)
    assert made.created_at.seconds > 1_600_000_000


def test_bad_C18_C20_actions_and_batches(ctx: Context, in_app: App) -> None:
    with pytest.raises(InvalidRequest):
        patch(ctx, in_app, "bogus", annotation("a"))
    for action in ("merge", "overwrite", "remove"):
        assert codes(patch(ctx, in_app, action, annotation("none"))) == [11101]
    for count in (0, 129):
        with pytest.raises(InvalidRequest, match="128"):
            send(ctx, in_app, *(annotation(concepts=cat()) for _ in range(count)))
    batch = [annotation(f"a{number}", concepts=cat()) for number in range(128)]
    batch[7] = annotation("a7", "missing", concepts=cat())
    answer = send(ctx, in_app, *batch)
    assert answer.status.code == 10010
    assert [number for number, code in enumerate(codes(answer)) if code != 24150] == [7]
    assert len(listed(ctx, in_app, per_page=1000)) == 127


@pytest.mark.parametrize(
    "wrong",
    [
        {"topRow": -0.1},
        {"rightCol": 1.5},
        {"topRow": 0.7},
        {"leftCol": 0.6},
        {"bottomRow": float("nan")},
        {"rightCol": 1e38},
        {"leftCol": -1e38},
        {"topRow": 0.5},
    ],
)
def test_bad_F1_boxes(ctx: Context, in_app: App, wrong: dict[str, float]) -> None:
    sent = annotation(regions=[box()])
    names = {"topRow": "top_row", "leftCol": "left_col", "bottomRow": "bottom_row", "rightCol": "right_col"}
    (key, value), *_ = wrong.items()
    setattr(sent.data.regions[0].region_info.bounding_box, names[key], value)
    answer = send(ctx, in_app, sent)
    assert codes(answer) == [24155]
    assert names[key] in answer.annotations[0].status.details
    assert listed(ctx, in_app) == []


def test_bad_F1_a_rounding_error_is_forgiven(ctx: Context, in_app: App) -> None:
    sent = annotation(regions=[box(topRow=-1e-7, rightCol=1 + 5e-7)])
    found = send(ctx, in_app, sent).annotations[0].data.regions[0].region_info.bounding_box
    assert (found.top_row, found.right_col) == (0, 1)


def polygon(*points: tuple[float, float]) -> Annotation:
    sent = annotation()
    sent.data.regions.add().region_info.polygon.points.extend(
        resources_pb2.Point(row=row, col=column) for row, column in points
    )
    return sent


@pytest.mark.parametrize(
    "points",
    [
        [(0.1, 0.1)],
        [(0.1, 0.1), (0.2, 0.2)],
        [(0.1, 0.1), (0.1, 0.1), (0.2, 0.2), (0.1, 0.1)],
        [(0.1, 0.1), (0.2, 0.2), (0.3, float("nan"))],
        [(0.1, 0.1), (0.2, 0.2), (0.3, 1.2)],
        [(0.0001 * (number % 9000), 0.5) for number in range(10_001)],
    ],
    ids=["one", "two", "repeated", "nan", "outside", "too many"],
)
def test_bad_F2_polygons(ctx: Context, in_app: App, points: list[tuple[float, float]]) -> None:
    assert codes(send(ctx, in_app, polygon(*points))) == [24155]


def test_large_polygons_are_kept_and_can_be_patched(ctx: Context, in_app: App) -> None:
    sent = polygon(*((number / 10_000, number % 2) for number in range(10_000)))
    sent.id = "a"
    sent.data.regions.extend([sent.data.regions[0]] * 3)
    assert codes(send(ctx, in_app, sent)) == [24150]
    assert codes(patch(ctx, in_app, "merge", annotation("a", concepts=cat()))) == [24150]
    sent.id = ""
    sent.data.regions.extend([sent.data.regions[0]] * 10)
    assert codes(send(ctx, in_app, sent)) == [24155]


def test_bad_F2_repeated_points_are_one(ctx: Context, in_app: App) -> None:
    answer = send(ctx, in_app, polygon((0, 0), (0, 0), (0, 1), (1, 1), (1, 1)))
    assert len(answer.annotations[0].data.regions[0].region_info.polygon.points) == 3


def test_a_region_has_one_place(ctx: Context, in_app: App) -> None:
    nowhere, token, two = annotation(), annotation(), annotation(regions=[box()])
    nowhere.data.regions.add()
    token.data.regions.add().region_info.token.char_end = 3
    two.data.regions[0].region_info.point.row = 0.5
    answer = send(ctx, in_app, nowhere, token, two)
    assert codes(answer) == [24155] * 3
    assert all("bounding_box, polygon, point" in found.status.details for found in answer.annotations)


@pytest.mark.parametrize("value", [0.5, 2, -1])
def test_bad_F4_values(ctx: Context, in_app: App, value: float) -> None:
    assert codes(send(ctx, in_app, annotation(concepts=cat(value)))) == [40003]


def test_bad_F4_contradictions_are_refused(ctx: Context, in_app: App) -> None:
    send(ctx, in_app, annotation("a", concepts=cat()))
    answer = send(ctx, in_app, annotation("b", concepts=cat(0)), annotation("c", concepts=[{"id": "own", "value": 0}]))
    assert codes(answer) == [24155, 24155]
    assert codes(patch(ctx, in_app, "merge", annotation("one", concepts=cat(0)))) == [24155]
    assert codes(patch(ctx, in_app, "merge", annotation("a", concepts=cat(0)))) == [24150]  # its own may change


def test_bad_F5_missing_and_failed_inputs_and_boxes_on_texts(ctx: Context, in_app: App) -> None:
    check_inputs(ctx)
    post(ctx, in_app, item("broken", picture(colour=3)), text("words", "hello"))
    check_inputs(ctx, 47104, "file ends early")
    answer = send(
        ctx,
        in_app,
        annotation(input_id="missing", concepts=cat()),
        annotation(input_id="broken", concepts=cat()),
        annotation(input_id="words", regions=[box()]),
        annotation(input_id="words", concepts=cat()),
    )
    assert codes(answer) == [30102, 24155, 24155, 24150]


def test_an_annotation_that_says_nothing_is_refused(ctx: Context, in_app: App) -> None:
    assert codes(send(ctx, in_app, annotation())) == [24155]
