"""PostModelOutputs with a fake predictors process that answers fixed values and remembers what it was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clarifai.client.model_client import ModelClient
from clarifai_grpc.grpc.api import resources_pb2, service_pb2

from luthier.errors import (
    InvalidPredictRequest,
    LuthierError,
    ModelBusy,
    ModelDoesNotExist,
    ModelLoading,
    ModelQueuedForTraining,
    ModelTraining,
    ModelUntrained,
    TrainingFailed,
)
from luthier.rpcs.context import Context
from luthier.rpcs.model_versions import DeleteModelVersion, GetModelVersion
from luthier.rpcs.models import GetModel
from luthier.rpcs.outputs import PostModelOutputs
from tests.conftest import png
from tests.rpcs.test_fetched import worker
from tests.rpcs.trainable import IN_APP, cats_and_dogs, finish_training, make_model, post, set_version, training

PICTURE = png(np.zeros((8, 8, 3), np.uint8))


class FakePredictors:
    """Answers each part with `answers`, in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers or ({"values": [0.25, 0.75]},)
        self.asked: list[tuple[Path, str, str, list[bytes]]] = []

    def predict(
        self,
        run_folder: Path,
        checkpoint: str,
        kind: str,
        parts: Sequence[bytes],
        wait_seconds: float = 20.0,
        options: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        self.asked.append((run_folder, checkpoint, kind, list(parts)))
        self.options = dict(options or {})
        for answer in self.answers:
            if isinstance(answer, LuthierError):
                raise answer
        return [self.answers[number % len(self.answers)] for number in range(len(parts))]


def with_predictors(ctx: Context, *answers: Any) -> tuple[Context, FakePredictors]:
    fake = FakePredictors(*answers)
    return replace(ctx, predictors=fake), fake  # type: ignore[arg-type]


@pytest.fixture
def trained(ctx: Context) -> str:
    """Id of a trained version of the model `m`."""
    cats_and_dogs(ctx)
    make_model(ctx)
    version: str = post(ctx, training()).model_version.id
    finish_training(ctx, version)
    return version


def picture(data: bytes = PICTURE, id: str = "") -> resources_pb2.Input:
    return resources_pb2.Input(id=id, data=resources_pb2.Data(image=resources_pb2.Image(base64=data)))


def request_of(*inputs: resources_pb2.Input, version_id: str = "") -> service_pb2.PostModelOutputsRequest:
    return service_pb2.PostModelOutputsRequest(
        user_app_id=IN_APP, model_id="m", version_id=version_id, inputs=inputs or [picture()]
    )


def concepts_of(ctx: Context, request: service_pb2.PostModelOutputsRequest) -> list[tuple[str, float]]:
    ctx, _ = with_predictors(ctx)
    answer = PostModelOutputs(ctx, request)
    return [(concept.id, concept.value) for concept in answer.outputs[0].data.concepts]


def test_concepts_come_best_first_with_everything_that_names_them(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx)
    answer = PostModelOutputs(ctx, request_of(picture(id="mine")))
    output = answer.outputs[0]
    assert [(one.id, one.name, one.value, one.app_id) for one in output.data.concepts] == [
        ("dog", "Dog", 0.75, "pets"),
        ("cat", "Cat", 0.25, "pets"),
    ]
    assert output.status.code == 10000
    assert output.input.id == "mine"
    assert output.input.data.image.base64 == b"true"
    assert (output.model.id, output.model.model_version.id) == ("m", trained)
    assert fake.asked == [(ctx.settings.runs_folder / trained, "checkpoints/best", "image", [PICTURE])]


def test_the_newest_trained_version_answers_while_a_newer_one_trains(ctx: Context, trained: str) -> None:
    post(ctx, training())
    ctx, _ = with_predictors(ctx)
    assert PostModelOutputs(ctx, request_of()).outputs[0].model.model_version.id == trained


def test_a_version_may_be_named_in_the_model_too(ctx: Context, trained: str) -> None:
    newer = post(ctx, training()).model_version.id
    finish_training(ctx, newer)
    ctx, _ = with_predictors(ctx)
    request = request_of()
    request.model.model_version.id = trained
    assert PostModelOutputs(ctx, request).outputs[0].model.model_version.id == trained
    assert PostModelOutputs(ctx, request_of(version_id=newer)).outputs[0].model.model_version.id == newer


# -- which version cannot answer ---------------------------------------------------------------------------------------


def test_bad_I1_versions_that_cannot_predict(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx)

    def refused(version_id: str, kind: type[LuthierError], code: int, *words: str) -> None:
        with pytest.raises(kind) as raised:
            PostModelOutputs(ctx, request_of(version_id=version_id))
        assert raised.value.code == code
        assert all(word in str(raised.value) for word in words), raised.value

    make_model(ctx, "fresh")
    request = service_pb2.PostModelOutputsRequest(user_app_id=IN_APP, model_id="fresh", inputs=[picture()])
    with pytest.raises(ModelUntrained):
        PostModelOutputs(ctx, request)
    queued = post(ctx, training()).model_version.id
    refused(queued, ModelQueuedForTraining, 21103)
    set_version(ctx, queued, status=21101, percent=42, seconds_left=80)
    refused(queued, ModelTraining, 21101, "42 %", "80 s")
    set_version(ctx, queued, status=21106, details="cancelled by ann at epoch 3")
    refused(queued, TrainingFailed, 21106, "cancelled by ann at epoch 3")
    named = service_pb2.DeleteModelVersionRequest(user_app_id=IN_APP, model_id="m", version_id=queued)
    DeleteModelVersion(ctx, named)
    refused(queued, ModelDoesNotExist, 21200)
    assert fake.asked == []


def test_bad_I2_loading_and_busy_are_passed_on(ctx: Context, trained: str) -> None:
    for error in (ModelLoading("x"), ModelBusy("y")):
        with pytest.raises(type(error)):
            PostModelOutputs(with_predictors(ctx, error)[0], request_of())


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_bad_I3_how_many(ctx: Context, trained: str) -> None:
    ctx, _ = with_predictors(ctx)
    empty = service_pb2.PostModelOutputsRequest(user_app_id=IN_APP, model_id="m")
    many = request_of(*[picture() for _ in range(129)])
    for request in (empty, many):
        with pytest.raises(InvalidPredictRequest) as raised:
            PostModelOutputs(ctx, request)
        assert raised.value.code == 40001


def test_bad_I3_good_and_bad_in_one_call(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx)
    text = resources_pb2.Input(data=resources_pb2.Data(text=resources_pb2.Text(raw="hello")))
    answer = PostModelOutputs(ctx, request_of(picture(), text, picture(b"not a picture"), picture()))
    assert answer.status.code == 10010
    assert [output.status.code for output in answer.outputs] == [10000, 30101, 30101, 10000]
    assert len(answer.outputs[3].data.concepts) == 2
    assert len(fake.asked[0][3]) == 2


def test_bad_I3_nothing_but_bad_inputs(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx)
    text = resources_pb2.Input(data=resources_pb2.Data(text=resources_pb2.Text(raw="hello")))
    answer = PostModelOutputs(ctx, request_of(text))
    assert (answer.status.code, answer.outputs[0].status.code) == (30101, 30101)
    nothing = PostModelOutputs(ctx, request_of(resources_pb2.Input(id="x")))
    assert nothing.status.code == 40001
    assert fake.asked == []


def test_pictures_by_url(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx)
    urls = ("https://h.example/a?sig=abc", "https://h.example/b", "https://h.example/c", "file:///etc/passwd")
    sent = [resources_pb2.Input(data=resources_pb2.Data(image=resources_pb2.Image(url=url))) for url in urls]
    with worker(ctx, a=PICTURE, b=47101, c=b"<html>"):
        answer = PostModelOutputs(ctx, request_of(*sent, picture()))
    assert [output.status.code for output in answer.outputs] == [10000, 47101, 30101, 30106, 10000]
    assert fake.asked[0][3] == [PICTURE, PICTURE]
    assert answer.outputs[0].input.data.image.url == "https://h.example/a?sig=***"
    assert "http or https" in answer.outputs[3].status.details


def video(data: bytes = b"GIF89a and so on") -> resources_pb2.Input:
    return resources_pb2.Input(data=resources_pb2.Data(video=resources_pb2.Video(base64=data)))


FRAMES = {
    "frames": [
        {"index": 0, "time_ms": 0, "number": 0, "values": [0.25, 0.75]},
        {"index": 1, "time_ms": 500, "number": 12, "values": [0.9, 0.1]},
    ]
}


def test_a_video_has_an_answer_for_each_frame(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx, FRAMES)
    output = PostModelOutputs(ctx, request_of(video())).outputs[0]
    assert (output.status.code, output.input.data.video.base64) == (10000, b"true")
    times = [(frame.frame_info.index, frame.frame_info.time, frame.frame_info.number) for frame in output.data.frames]
    assert times == [(0, 0, 0), (1, 500, 12)]
    assert [frame.data.concepts[0].id for frame in output.data.frames] == ["dog", "cat"]
    assert (fake.asked[0][2], fake.options) == ("video", {"sample_ms": 1000})


def test_sample_ms_where_the_guides_and_the_sdk_send_it(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx, FRAMES)
    for place in ("output_info", "model_version.output_info"):
        request = request_of(video())
        info = request.model.output_info if place == "output_info" else request.model.model_version.output_info
        info.output_config.sample_ms = 500
        PostModelOutputs(ctx, request)
        assert fake.options == {"sample_ms": 500}
    info.output_config.sample_ms = 99
    with pytest.raises(InvalidPredictRequest, match="sample_ms is 99; give a whole number from 100 to 60000"):
        PostModelOutputs(ctx, request)


def test_videos_and_pictures_in_one_call(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx, {"values": [0.25, 0.75], **FRAMES})
    answer = PostModelOutputs(ctx, request_of(video(), picture(), video(b"<html>"), video(b"")))
    assert [output.status.code for output in answer.outputs] == [10000, 10000, 30101, 30300]
    assert "none of MP4, WebM, animated GIF" in answer.outputs[2].status.details
    assert [(kind, len(parts)) for _, _, kind, parts in fake.asked] == [("video", 1), ("image", 1)]


def test_a_video_over_the_limit(ctx: Context, trained: str) -> None:
    ctx, _ = with_predictors(ctx, FRAMES)
    ctx = replace(ctx, settings=replace(ctx.settings, max_video_mb=1))
    answer = PostModelOutputs(ctx, request_of(video(b"GIF89a" + bytes(1 << 20))))
    assert answer.outputs[0].status.code == 30105 and "at most 1 MiB" in answer.outputs[0].status.details


def test_videos_by_url(ctx: Context, trained: str) -> None:
    ctx, fake = with_predictors(ctx, FRAMES)
    sent = resources_pb2.Input(data=resources_pb2.Data(video=resources_pb2.Video(url="https://h.example/a")))
    with worker(ctx, a=b"GIF89a and so on"):
        output = PostModelOutputs(ctx, request_of(sent)).outputs[0]
    assert (output.status.code, len(output.data.frames)) == (10000, 2)
    assert output.input.data.video.url == "https://h.example/a"
    assert fake.asked[0][3] == [b"GIF89a and so on"]


def test_a_picture_that_the_model_process_cannot_decode(ctx: Context, trained: str) -> None:
    ctx, _ = with_predictors(ctx, {"values": [0.1, 0.9]}, {"error": 47104, "details": "file ends early"})
    answer = PostModelOutputs(ctx, request_of(picture(), picture()))
    assert answer.status.code == 10010
    failed = answer.outputs[1].status
    assert (failed.code, failed.details) == (47104, "file ends early")
    assert failed.description == "Image cannot be decoded"


# -- which concepts come back ------------------------------------------------------------------------------------------


def asking(**params: Any) -> service_pb2.PostModelOutputsRequest:
    request = request_of()
    request.model.model_version.output_info.params.update(params)
    return request


def test_the_request_limits_what_comes_back(ctx: Context, trained: str) -> None:
    assert concepts_of(ctx, asking(max_concepts=1)) == [("dog", 0.75)]
    assert concepts_of(ctx, asking(min_value=0.5)) == [("dog", 0.75)]
    assert concepts_of(ctx, asking(select_concepts=[{"id": "cat"}])) == [("cat", 0.25)]
    assert concepts_of(ctx, asking(select_concepts=["cat"])) == [("cat", 0.25)]
    assert concepts_of(ctx, asking(select_concepts=[{"name": "Cat"}])) == [("cat", 0.25)]
    assert concepts_of(ctx, asking(select_concepts=[])) == [("dog", 0.75), ("cat", 0.25)]
    by_config = request_of()
    by_config.model.model_version.output_info.output_config.max_concepts = 1
    by_config.model.model_version.output_info.output_config.select_concepts.add(id="cat")
    assert concepts_of(ctx, by_config) == [("cat", 0.25)]


def test_what_was_stored_counts_where_the_request_says_nothing(ctx: Context) -> None:
    cats_and_dogs(ctx)
    make_model(ctx)
    sent = training()
    sent.output_info.params.update({"max_concepts": 1})
    finish_training(ctx, post(ctx, sent).model_version.id)
    assert concepts_of(ctx, request_of()) == [("dog", 0.75)]
    assert len(concepts_of(ctx, asking(max_concepts=2))) == 2


def test_the_sdk_sends_the_version_back_and_its_override_wins(ctx: Context, trained: str) -> None:
    """The SDK's own request: the whole model as GetModel gave it, with the caller's wish merged in."""
    model = GetModel(ctx, service_pb2.GetModelRequest(user_app_id=IN_APP, model_id="m")).model
    fake, _ = with_predictors(ctx)

    class Stub:
        def PostModelOutputs(self, request: Any) -> Any:
            answer = PostModelOutputs(fake, request)
            if not answer.HasField("status"):  # the dispatcher does that
                answer.status.code = 10000
            return answer

    template = service_pb2.PostModelOutputsRequest(user_app_id=IN_APP, model_id="m", version_id=trained, model=model)
    client = ModelClient(stub=Stub(), request_template=template)
    assert len(client._predict_by_proto([picture()]).outputs[0].data.concepts) == 2
    limited = client._predict_by_proto([picture()], output_config={"max_concepts": 1})
    assert [one.id for one in limited.outputs[0].data.concepts] == ["dog"]
    by_params = client._predict_by_proto([picture()], inference_params={"max_concepts": 1})
    assert [one.id for one in by_params.outputs[0].data.concepts] == ["dog"]


@pytest.mark.parametrize(
    "params",
    [
        *({"min_value": value} for value in (2, -1, float("nan"), "0.5")),
        *({"max_concepts": value} for value in (0, -1, 1.5, 1e9, float("inf"), True)),
        *({"select_concepts": value} for value in ("cat", 5, [5])),
    ],
    ids=str,
)
def test_bad_I4_settings(ctx: Context, trained: str, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidPredictRequest, match=next(iter(params))) as raised:
        concepts_of(ctx, asking(**params))
    assert (raised.value.code, raised.value.http_status) == (40001, 400)


def test_bad_I4_unknown_concepts_are_listed(ctx: Context, trained: str) -> None:
    with pytest.raises(InvalidPredictRequest, match=r"fish.*cat, dog"):
        concepts_of(ctx, asking(select_concepts=[{"id": "cat"}, {"id": "fish"}]))


def test_bad_I21_a_version_keeps_the_names_that_it_learned(ctx: Context, trained: str) -> None:
    from luthier.rpcs.concepts import PatchConcepts

    renamed = resources_pb2.Concept(id="cat", name="Tiger")
    PatchConcepts(ctx, service_pb2.PatchConceptsRequest(user_app_id=IN_APP, concepts=[renamed], action="overwrite"))
    ctx, _ = with_predictors(ctx)
    names = [one.name for one in PostModelOutputs(ctx, request_of()).outputs[0].data.concepts]
    assert names == ["Dog", "Cat"]


# -- the SDK's question for signatures ---------------------------------------------------------------------------------


def test_the_signature_probe_of_the_sdk(ctx: Context, trained: str) -> None:
    """Asked by the SDK itself; a trained and an untrained model answer alike, and no picture is predicted."""
    ctx, fake = with_predictors(ctx)

    class Stub:
        def GetModelVersion(self, request: Any) -> Any:
            answer = GetModelVersion(ctx, request)
            answer.status.code = 10000
            return answer

        def PostModelOutputs(self, request: Any) -> Any:
            answer = PostModelOutputs(ctx, request)
            assert answer.status.code == 30101 and len(answer.outputs) == 1
            return answer

    template = service_pb2.PostModelOutputsRequest(user_app_id=IN_APP, model_id="m", version_id=trained)
    client = ModelClient(stub=Stub(), request_template=template)
    client._fetch_signatures_backup()
    assert client._method_signatures == {}
    assert fake.asked == []
