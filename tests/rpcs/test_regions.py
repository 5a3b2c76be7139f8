"""Regions of annotations: masks, spans, points, patches of each, and what the store reads of them."""

import io
import struct

import numpy as np
import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from PIL import Image
from sqlalchemy import delete, select

from luthier.errors import DoesNotExist
from luthier.rpcs import marked as marked_regions
from luthier.rpcs.annotations import ListAnnotations
from luthier.rpcs.context import Context
from luthier.store import regions as stored
from luthier.store import secrets, tables
from luthier.store.regions import Marked
from tests.rpcs.pictures import picture, png_that_claims
from tests.rpcs.test_annotations import Annotation, App, annotation, box, codes, listed, patch, read, send
from tests.rpcs.test_inputs import check_inputs, item, post, text
from tests.rpcs.test_inputs import patch as patch_input

TEXT = "Zürich → Ölten"


@pytest.fixture(autouse=True)
def inputs(ctx: Context, in_app: App) -> None:
    """A picture of 4 x 3 pixels and a text of 14 characters."""
    post(ctx, in_app, item("one"), text("words", TEXT))


def mask_png(pixels: np.ndarray | None = None, mode: str = "L", **options: object) -> bytes:
    file = io.BytesIO()
    found = np.array([[0, 1, 1, 0], [0, 255, 0, 0], [0, 0, 0, 9]], np.uint8) if pixels is None else pixels
    Image.fromarray(found).convert(mode).save(file, "PNG", **options)
    return file.getvalue()


def masked(png: bytes, id: str = "m", label: str = "cat", region: str = "r") -> Annotation:
    sent = annotation(id)
    made = sent.data.regions.add(id=region)
    made.region_info.mask.image.base64 = png
    made.data.concepts.add(id=label, value=1)
    return sent


def span(start: int, end: int, raw: str = "", input_id: str = "words") -> Annotation:
    sent = annotation(input_id=input_id)
    made = sent.data.regions.add()
    made.region_info.span.char_start, made.region_info.span.char_end, made.region_info.span.raw_text = start, end, raw
    made.data.concepts.add(id="place", value=1)
    return sent


def marked(ctx: Context) -> list[Marked]:
    """What freezing would read of all inputs."""
    with ctx.database.read() as connection:
        seqs = list(connection.execute(select(tables.inputs.c.seq)).scalars())
        return [one for regions in stored.marked(connection, seqs).values() for one in regions]


# -- masks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "1", "P"])
def test_a_mask_is_kept_as_it_is(ctx: Context, in_app: App, mode: str) -> None:
    png = mask_png(mode=mode)
    assert codes(send(ctx, in_app, masked(png), masked(png, "n"))) == [24150, 24150]
    image = read(ctx, in_app, "m").data.regions[0].region_info.mask.image
    assert (image.base64, image.image_info.width, image.image_info.height, image.image_info.format) == (
        png,
        4,
        3,
        "PNG",
    )
    (one, other) = marked(ctx)
    assert (one.kind, one.labels, one.blob) == ("mask", {"cat": 1}, other.blob)
    assert ctx.blobs.read(one.blob) == png
    assert secrets.media_named_by(ctx.settings, image.url) == one.blob


def test_lists_show_the_addresses_of_masks_alone(ctx: Context, in_app: App) -> None:
    made = send(ctx, in_app, masked(mask_png())).annotations[0]
    (found,) = ListAnnotations(ctx, service_pb2.ListAnnotationsRequest(user_app_id=in_app)).annotations
    assert found == made
    whole = read(ctx, in_app, "m").data.regions[0].region_info.mask.image
    image = found.data.regions[0].region_info.mask.image
    assert (image.base64, image.url, image.image_info) == (b"", whole.url, whole.image_info)


def cut(png: bytes) -> bytes:
    return png[:-20]


def flipped(png: bytes) -> bytes:
    return png[:45] + bytes([png[45] ^ 1]) + png[46:]


@pytest.mark.parametrize(
    ("png", "said"),
    [
        (b"", "base64 is empty"),
        (b"x", "not a PNG"),
        (picture("JPEG"), "not a PNG"),
        (cut(mask_png()), "ends early"),
        (flipped(mask_png()), "wrong checksum"),
        (mask_png(np.ones((4, 3), np.uint8)), "3x4 pixels, the upright picture 4x3"),
        (mask_png(mode="RGB"), "colour type 2"),
        (mask_png(mode="RGBA"), "colour type 6"),
        (mask_png(mode="LA"), "colour type 4"),
        (mask_png(mode="I;16"), "16 bits"),
        (png_that_claims(30_000, 30_000), "30000x30000 pixels"),
        (png_that_claims(0, 5), "0x5 pixels"),
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 0) + b"IEND" + struct.pack(">I", 0xAE426082), "no whole PNG"),
    ],
    ids=["empty", "junk", "jpeg", "cut", "crc", "size", "rgb", "rgba", "la", "16 bits", "bomb", "zero", "no header"],
)
def test_bad_F3_masks(ctx: Context, in_app: App, png: bytes, said: str) -> None:
    answer = send(ctx, in_app, masked(png))
    assert codes(answer) == [24155]
    assert said in answer.annotations[0].status.details
    assert listed(ctx, in_app) == []


def test_bad_F3_a_mask_is_not_fetched(ctx: Context, in_app: App) -> None:
    sent = masked(b"")
    sent.data.regions[0].region_info.mask.image.url = "http://127.0.0.1/mask.png"
    assert "is not fetched" in send(ctx, in_app, sent).annotations[0].status.details


# -- spans and points --------------------------------------------------------------------------------------------------


def test_spans_count_characters(ctx: Context, in_app: App) -> None:
    answer = send(ctx, in_app, span(0, 6, "Zürich"), span(9, 14), span(13, 14, "n"))
    assert codes(answer) == [24150] * 3
    assert [one.points for one in marked(ctx)] == [(0, 6), (9, 14), (13, 14)]
    found = answer.annotations[0].data.regions[0].region_info.span
    assert (found.char_start, found.char_end, found.raw_text) == (0, 6, "Zürich")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (span(3, 3), "the text has 14 characters"),
        (span(5, 2), "the text has 14 characters"),
        (span(13, 15), "the text has 14 characters"),
        (span(0, 7, "Zürich"), "count characters, not bytes"),
        (span(0, 2, input_id="one"), "this input is an image"),
    ],
)
def test_bad_F5_spans_outside_their_text(ctx: Context, in_app: App, sent: Annotation, said: str) -> None:
    answer = send(ctx, in_app, sent, span(0, 2))
    assert codes(answer) == [24155, 24150]
    assert said in answer.annotations[0].status.details


@pytest.mark.parametrize("kind", ["bounding_box", "point", "mask"])
def test_bad_F5_a_text_has_no_places(ctx: Context, in_app: App, kind: str) -> None:
    sent = masked(mask_png()) if kind == "mask" else annotation(regions=[box()])
    if kind == "point":
        sent.data.regions[0].region_info.point.col = 0.5
        sent.data.regions[0].region_info.ClearField("bounding_box")
    sent.input_id = "words"
    answer = send(ctx, in_app, sent)
    assert codes(answer) == [24155] and "marks a place in a picture" in answer.annotations[0].status.details


def test_places_keep_every_bit(ctx: Context, in_app: App) -> None:
    odd = [0.1, 0.33333334, 0.6666667, 0.99999994]
    sides = dict(zip(("topRow", "leftCol", "bottomRow", "rightCol"), odd, strict=True))
    made = send(ctx, in_app, annotation(regions=[box(**sides)])).annotations[0].data.regions[0].region_info.bounding_box
    kept = [struct.unpack("f", struct.pack("f", value))[0] for value in odd]
    assert [made.top_row, made.left_col, made.bottom_row, made.right_col] == kept
    (one,) = marked(ctx)
    assert one.points == (0.333333343, 0.100000001, 0.99999994, 0.666666687)
    assert [struct.unpack("f", struct.pack("f", value))[0] for value in one.points] == [kept[n] for n in (1, 0, 3, 2)]


# -- patches -----------------------------------------------------------------------------------------------------------


def labelled(*names: str, **place: object) -> dict[str, object]:
    return {"data": {"concepts": [{"id": name, "value": 1} for name in names]}, **place}


def names(found: Annotation) -> list[list[str]]:
    return [[concept.id for concept in region.data.concepts] for region in found.data.regions]


def two_boxes(ctx: Context, in_app: App) -> None:
    send(ctx, in_app, annotation("a", regions=[box("cat") | {"id": "r1"}, box("dog") | {"id": "r2"}]))


def test_merging_concepts_into_a_region(ctx: Context, in_app: App) -> None:
    two_boxes(ctx, in_app)
    after = patch(ctx, in_app, "merge", annotation("a", regions=[labelled("fox", id="r1")])).annotations[0]
    assert names(after) == [["cat", "fox"], ["dog"]]
    assert after.data.regions[0].region_info.bounding_box.top_row == pytest.approx(0.1)
    assert [one.labels for one in marked(ctx)] == [{"cat": 1, "fox": 1}, {"dog": 1}]
    after = patch(ctx, in_app, "merge", annotation("a", regions=[box("owl", topRow=0.3) | {"id": "new"}]))
    assert names(after.annotations[0]) == [["cat", "fox"], ["dog"], ["owl"]]


def test_a_concept_that_a_patch_makes_has_its_name(ctx: Context, in_app: App) -> None:
    two_boxes(ctx, in_app)
    owl, fox = {"id": "c1", "name": "Eule", "value": 1}, {"id": "c2", "name": "Fuchs", "value": 1}
    change = annotation("a", concepts=[owl], regions=[{"id": "r1", "data": {"concepts": [fox]}}])
    after = patch(ctx, in_app, "merge", change).annotations[0]
    found = [*after.data.concepts, *after.data.regions[0].data.concepts]
    assert [(concept.id, concept.name) for concept in found] == [("c1", "Eule"), ("cat", "cat"), ("c2", "Fuchs")]
    change = item("one", b"", concepts=[{"id": "c3", "name": "Dachs", "value": 1}])
    patched = patch_input(ctx, in_app, "merge", change).inputs[0]
    assert [(concept.id, concept.name) for concept in patched.data.concepts] == [("c3", "Dachs")]


def test_moving_a_region(ctx: Context, in_app: App) -> None:
    two_boxes(ctx, in_app)
    moved = {"id": "r2", "regionInfo": box(leftCol=0.4)["regionInfo"]}
    after = patch(ctx, in_app, "merge", annotation("a", regions=[moved])).annotations[0]
    assert names(after) == [["cat"], ["dog"]]
    assert [one.points[0] for one in marked(ctx)] == [pytest.approx(0.2), pytest.approx(0.4)]


def test_overwriting_regions(ctx: Context, in_app: App) -> None:
    two_boxes(ctx, in_app)
    after = patch(ctx, in_app, "overwrite", annotation("a", regions=[labelled("fox", id="r2")])).annotations[0]
    assert names(after) == [["fox"]]
    assert [(one.kind, one.labels) for one in marked(ctx)] == [("box", {"fox": 1})]


def test_removing_concepts_of_a_region_and_regions(ctx: Context, in_app: App) -> None:
    two_boxes(ctx, in_app)
    patch(ctx, in_app, "merge", annotation("a", regions=[labelled("fox", id="r1")]))
    after = patch(ctx, in_app, "remove", annotation("a", regions=[labelled("cat", id="r1")])).annotations[0]
    assert names(after) == [["fox"], ["dog"]]
    after = patch(ctx, in_app, "remove", annotation("a", regions=[{"id": "r1"}])).annotations[0]
    assert names(after) == [["dog"]]
    after = patch(ctx, in_app, "remove", annotation("a", regions=[box("dog") | {"id": "r2"}])).annotations[0]
    assert names(after) == [] == marked(ctx)
    with ctx.database.read() as connection:
        assert connection.execute(select(tables.region_labels)).all() == []


def test_bad_C18_patches_of_regions_that_are_not_there(ctx: Context, in_app: App) -> None:
    two_boxes(ctx, in_app)
    for action in ("merge", "overwrite", "remove"):
        answer = patch(ctx, in_app, action, annotation("a", regions=[labelled("fox", id="r9")]))
        assert codes(answer) == [24155] and "'r9'" in answer.annotations[0].status.details
    twice = annotation("a", regions=[labelled("fox", id="r1"), labelled("owl", id="r1")])
    assert "twice" in patch(ctx, in_app, "merge", twice).annotations[0].status.details
    assert names(read(ctx, in_app, "a")) == [["cat"], ["dog"]]


def test_an_answer_has_the_bytes_of_so_many_masks_and_the_addresses_of_all(
    ctx: Context, in_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, png = masked(mask_png(), region="r0"), mask_png()
    for number in range(1, 3):
        sent.data.regions.append(masked(mask_png(mode="1"), region=f"r{number}").data.regions[0])
    send(ctx, in_app, sent)
    monkeypatch.setattr(marked_regions, "MOST_MASK_BYTES", len(png) + len(mask_png(mode="1")) + 1)
    images = [region.region_info.mask.image for region in read(ctx, in_app, "m").data.regions]
    assert [image.base64 for image in images] == [png, mask_png(mode="1"), b""]
    assert all(secrets.media_named_by(ctx.settings, image.url) for image in images)


def test_a_patch_without_regions_leaves_masks_alone(ctx: Context, in_app: App) -> None:
    send(ctx, in_app, masked(mask_png()))
    patch(ctx, in_app, "merge", annotation("m", concepts=[{"id": "indoors", "value": 1}]))
    patch(ctx, in_app, "merge", annotation("m", regions=[labelled("dog", id="r")]))
    assert read(ctx, in_app, "m").data.regions[0].region_info.mask.image.base64 == mask_png()
    other = mask_png(mode="1")
    patch(ctx, in_app, "merge", masked(other))
    assert read(ctx, in_app, "m").data.regions[0].region_info.mask.image.base64 == other
    with ctx.database.read() as connection:
        assert len(connection.execute(select(tables.masks)).all()) == 1


def test_several_patches_of_one_annotation_in_one_call(ctx: Context, in_app: App) -> None:
    from luthier.rpcs.annotations import PatchAnnotations
    from luthier.rpcs.annotations import service_pb2 as wire

    two_boxes(ctx, in_app)
    changes = [
        annotation("a", regions=[labelled("fox", id="r1")], concepts=[{"id": "indoors", "value": 1}]),
        annotation("a", regions=[labelled("owl", id="r1")], concepts=[{"id": "night", "value": 0}]),
    ]
    PatchAnnotations(ctx, wire.PatchAnnotationsRequest(user_app_id=in_app, annotations=changes))
    after = read(ctx, in_app, "a")
    assert names(after) == [["cat", "fox", "owl"], ["dog"]]
    assert {concept.id: concept.value for concept in after.data.concepts} == {"indoors": 1, "night": 0}


# -- what else ---------------------------------------------------------------------------------------------------------


def test_regions_that_come_with_an_input(ctx: Context, in_app: App) -> None:
    sent = item("two", picture(colour=1), regions=[box("cat")])
    sent.data.regions.append(masked(mask_png()).data.regions[0])
    words = text("more", TEXT)
    words.data.regions.append(span(0, 6, "Zürich").data.regions[0])
    assert post(ctx, in_app, sent, words).status.code == 0
    assert [(one.kind, one.labels) for one in marked(ctx)] == [
        ("box", {"cat": 1}),
        ("mask", {"cat": 1}),
        ("span", {"place": 1}),
    ]
    assert read(ctx, in_app, "two", "two").data.regions[1].region_info.mask.image.base64 == mask_png()
    change = item("two", b"", regions=[{"id": "r"}])
    assert patch_input(ctx, in_app, "remove", change).status.code == 0
    assert [one.kind for one in marked(ctx)] == ["box", "span"]


def test_bad_F3_F5_regions_that_do_not_fit_their_input_keep_it_out(ctx: Context, in_app: App) -> None:
    small = item("small", picture(size=(9, 9)))
    small.data.regions.append(masked(mask_png()).data.regions[0])
    short = text("short", "ab")
    short.data.regions.append(span(0, 3).data.regions[0])
    answer = post(ctx, in_app, small, short, text("fine", "abc"))
    assert [found.status.code for found in answer.inputs] == [24155, 24155, 30000]
    change = item("one", b"", regions=[box(topRow=3)])
    assert patch_input(ctx, in_app, "merge", change).inputs[0].status.code == 24155


def test_a_deleted_concept_leaves_regions_without_it(ctx: Context, in_app: App) -> None:
    send(ctx, in_app, annotation("a", regions=[box("cat")]))
    with ctx.database.write() as connection:
        connection.execute(delete(tables.concepts).where(tables.concepts.c.id == "cat"))
    assert names(read(ctx, in_app, "a")) == [[]]
    send(ctx, in_app, annotation("b", regions=[box("cat")]))  # a new one of the same id
    assert [one.labels for one in marked(ctx)] == [{}, {"cat": 1}]


def test_concepts_of_regions_show_their_names(ctx: Context, in_app: App) -> None:
    sent = annotation("a", regions=[box("c1")])
    sent.data.regions[0].data.concepts[0].name = "Katze"
    concept = send(ctx, in_app, sent).annotations[0].data.regions[0].data.concepts[0]
    assert (concept.id, concept.name, concept.app_id, concept.user_id) == ("c1", "Katze", "pets", "ann")


def test_parts_of_an_object_share_a_track(ctx: Context, in_app: App) -> None:
    regions = [box() | {"trackId": track} for track in ("a", "b", "a")]
    made = send(ctx, in_app, annotation("a", regions=regions)).annotations[0]
    assert [region.track_id for region in made.data.regions] == ["a", "b", "a"]
    assert [one.group for one in marked(ctx)] == [1, 0, 1]


def test_statuses_of_review_decide_whether_it_counts(ctx: Context, in_app: App) -> None:
    sent = annotation("a", regions=[box()], concepts=[{"id": "cat", "value": 1}])
    sent.status.code = 24157
    assert codes(send(ctx, in_app, sent)) == [24157]
    assert marked(ctx) == []
    change = annotation("a")
    change.status.code = 24150
    assert codes(patch(ctx, in_app, "merge", change)) == [24150]
    assert len(marked(ctx)) == 1
    change.status.code = 30000
    assert codes(patch(ctx, in_app, "merge", change)) == [24150]


def test_metadata_of_an_annotation_stays(ctx: Context, in_app: App) -> None:
    sent = annotation("a", regions=[box()], metadata={"by": "hand", "n": 1})
    assert send(ctx, in_app, sent).annotations[0].data.metadata["by"] == "hand"
    patch(ctx, in_app, "remove", annotation("a", metadata={"by": ""}))
    assert dict(read(ctx, in_app, "a").data.metadata) == {"n": 1}
    deep = annotation("b", regions=[box()], metadata={"x": "y" * 70_000})
    assert codes(send(ctx, in_app, deep)) == [11102]


def test_bad_F5_a_failed_picture_takes_no_region(ctx: Context, in_app: App) -> None:
    check_inputs(ctx, 47104, "file ends early")
    assert codes(send(ctx, in_app, annotation(regions=[box()]))) == [24155]


def test_bad_F2_more_regions_than_are_kept(ctx: Context, in_app: App) -> None:
    many = annotation("a", regions=[box()])
    many.data.regions.extend([many.data.regions[0]] * 1000)
    answer = send(ctx, in_app, many)
    assert codes(answer) == [24155] and "at most 1000" in answer.annotations[0].status.details


def test_a_region_message_is_what_was_sent(ctx: Context, in_app: App) -> None:
    point = resources_pb2.Point(row=0.5, col=0.25, visibility=resources_pb2.Point.Visibility.NOT_VISIBLE)
    sent = annotation("a")
    sent.data.regions.add().region_info.point.CopyFrom(point)
    made = send(ctx, in_app, sent).annotations[0]
    assert made.data.regions[0].region_info.point == point
    assert [(one.kind, one.points) for one in marked(ctx)] == [("point", (0.25, 0.5))]


def test_masks_for_an_app_that_is_not_there_are_not_kept(ctx: Context, in_app: App) -> None:
    kept = sum(path.is_file() for path in ctx.blobs.root.rglob("*"))
    with pytest.raises(DoesNotExist):
        send(ctx, App(user_id="me", app_id="nowhere"), masked(mask_png()))
    assert sum(path.is_file() for path in ctx.blobs.root.rglob("*")) == kept
