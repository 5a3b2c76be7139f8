"""Detector, segmenter and embedder as the guides use them: create, train, predict on unseen inputs, by gRPC and REST;
then the guide's incremental training of MMDetection_SSD.
"""

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.videos import gif, video
from tests.e2e.client import Client, curl, until
from tests.e2e.conftest import ON_ONE_DATABASE, Server
from tests.recipes import scenes

pytestmark = ON_ONE_DATABASE

APP = "visual-types"
CONCEPTS = [{"id": name} for name in scenes.CONCEPTS]
QUICK = {"num_epochs": 1.0, "batch_size": 4.0, "image_size": [64.0], "pretrained_weights": "None", "num_gpus": 0.0}
UNSEEN = scenes.png(scenes.scene(np.random.default_rng(99))[0])


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    """An app with twelve scenes: a box and a mask around each object, and a label of the whole for embedders."""
    client = Client(server, APP)
    client.PostApps(apps=[{"id": APP}])
    client.PostConcepts(concepts=[{"id": name, "name": name} for name in (*scenes.CONCEPTS, "face", "one", "two")])
    generator = np.random.default_rng(5)
    drawn = [scenes.scene(generator) for _ in range(12)]
    client.PostInputs(
        inputs=[
            {
                "id": f"scene-{number}",
                "data": {
                    "image": {"base64": scenes.png(pixels)},
                    "concepts": [{"id": ("one", "two")[number % 2], "value": 1.0}],
                },
            }
            for number, (pixels, _) in enumerate(drawn)
        ]
    )
    until(lambda: client.GetInputCount().counts.to_process == 0)
    for number, (_, shapes) in enumerate(drawn):
        regions = [region for concept, mask in shapes for region in described(concept, mask)]
        client.PostAnnotations(annotations=[{"input_id": f"scene-{number}", "data": {"regions": regions}}])
    return client


def described(concept: str, mask: scenes.Mask) -> list[dict[str, Any]]:
    """A mask of the concept, and boxes of it and of "face", as the guide calls its only concept."""
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = {
        "top_row": rows[0] / height, "bottom_row": (rows[-1] + 1) / height,
        "left_col": columns[0] / width, "right_col": (columns[-1] + 1) / width,
    }  # fmt: skip
    file = scenes.png(mask.astype(np.uint8) * 255)
    return [
        *({"region_info": {"bounding_box": box}, "data": {"concepts": [{"id": name, "value": 1.0}]}}
          for name in (concept, "face")),
        {"region_info": {"mask": {"image": {"base64": file}}}, "data": {"concepts": [{"id": concept, "value": 1.0}]}},
    ]  # fmt: skip


def trained(
    client: Client, model_id: str, model_type: str, params: dict[str, Any], concepts: list[dict[str, str]]
) -> Any:
    client.PostModels(models=[{"id": model_id, "model_type_id": model_type}])
    return again(client, model_id, {"params": params}, concepts)


def again(client: Client, model_id: str, train_info: dict[str, Any], concepts: list[dict[str, str]]) -> Any:
    version = {"train_info": train_info, "output_info": {"data": {"concepts": concepts}}}
    queued = client.PostModelVersions(model_id=model_id, model_versions=[version]).model.model_version
    assert queued.status.code == 21103
    return client.trained(model_id, queued.id)


def one_output(client: Client, **request: Any) -> Any:
    """Asks again while the model is being loaded, as clients do."""
    answers: list[Any] = []

    def loaded() -> bool:
        answers.append(client.PostModelOutputs(success=False, **request))
        return answers[-1].status.code != 21355

    until(loaded, 120)
    assert answers[-1].status.code == 10000, answers[-1].status
    return answers[-1].outputs[0]


def predicted(client: Client, server: Server, model_id: str) -> tuple[Any, dict[str, Any]]:
    """The data of one output, over gRPC and over REST."""
    output = one_output(client, model_id=model_id, inputs=[{"data": {"image": {"base64": UNSEEN}}}])
    body = {"inputs": [{"data": {"image": {"base64": base64.b64encode(UNSEEN).decode()}}}]}
    code, answer = curl(server, "POST", f"/v2/users/{server.user_id}/apps/{APP}/models/{model_id}/outputs", body)
    assert (code, answer["status"]["code"], output.status.code) == (200, 10000, 10000)
    return output.data, answer["outputs"][0]["data"]


def test_a_detector_draws_boxes(server: Server, client: Client) -> None:
    version = trained(
        client,
        "finder",
        "visual-detector",
        {"template": "luthier_tiny_detector", **QUICK, "num_epochs": 12.0},
        CONCEPTS,
    )
    assert version.metrics.summary.mean_avg_precision_iou_50 >= version.metrics.summary.mean_avg_precision_iou_range
    by_grpc, by_rest = predicted(client, server, "finder")
    assert len(by_grpc.regions) == len(by_rest.get("regions", []))
    for region in by_grpc.regions:
        box = region.region_info.bounding_box
        assert 0 <= box.left_col < box.right_col <= 1 and 0 <= box.top_row < box.bottom_row <= 1
        assert region.data.concepts[0].id in scenes.CONCEPTS and region.id
    values = [region.value for region in by_grpc.regions]
    assert values == sorted(values, reverse=True)
    model = {"model_version": {"output_info": {"params": {"detection_threshold": 1.0}}}}
    inputs = [{"data": {"image": {"base64": UNSEEN}}}]
    assert not client.PostModelOutputs(model_id="finder", inputs=inputs, model=model).outputs[0].data.regions


OWN_CONFIG = """\
_base_ = '/mmdetection/configs/yolof/yolof_r50_c5_8x8_1x_coco.py'
model = dict(backbone=dict(depth=18, init_cfg=None), bbox_head=dict(num_classes=0))
train_pipeline = [dict(type='Resize', img_scale=(128, 64), keep_ratio=True)]
data = dict(samples_per_gpu=6, train=dict(ann_file='', img_prefix='', classes='', pipeline=train_pipeline),
    val=dict(ann_file='', img_prefix='', classes=''))
optimizer = dict(_delete_=True, type='Adam', lr=0.0001, weight_decay=0.0001)
runner = dict(type='EpochBasedRunner', max_epochs=1)
"""


def test_a_detector_of_ones_own_configuration(server: Server, client: Client) -> None:
    """As the guide sends it: the template by its older name, and the text of a file."""
    params = {"template": "MMDetection", "custom_config": OWN_CONFIG, "image_size": [64.0], "num_gpus": 0.0}
    version = trained(client, "test_config", "visual-detector", params, CONCEPTS)
    assert version.train_info.params["custom_config"] == OWN_CONFIG
    assert version.metrics.summary.mean_avg_precision_iou_50 >= version.metrics.summary.mean_avg_precision_iou_range
    sent = {"train_info": {"params": {**params, "custom_config": "\n\nimport os; os.system('x')"}}}
    sent["output_info"] = {"data": {"concepts": CONCEPTS}}
    refused = client.PostModelVersions(success=False, model_id="test_config", model_versions=[sent])
    assert refused.status.code == 21118
    assert "custom_config: line 3: import is not available in restricted templates" in refused.status.details


def test_a_segmenter_gives_a_mask_for_each_concept(server: Server, client: Client) -> None:
    params = {"template": "luthier_tiny_segmenter", **QUICK, "num_epochs": 12.0}
    trained(client, "cutter", "visual-segmenter", params, CONCEPTS)
    by_grpc, by_rest = predicted(client, server, "cutter")
    assert len(by_grpc.regions) == len(by_rest.get("regions", []))
    for region in by_grpc.regions:
        mask = Image.open(io.BytesIO(region.region_info.mask.image.base64))
        assert (mask.format, mask.size) == ("PNG", (scenes.WIDTH, scenes.HEIGHT))


def test_an_embedder_gives_a_vector(server: Server, client: Client) -> None:
    params = {
        "template": "Clarifai_InceptionBatchNorm", "num_epochs": 3.0, "batch_size": 8.0, "image_size": 64.0,
        "pretrained_weights": "None", "logreg": 0.0,
    }  # fmt: skip
    trained(client, "vectors", "visual-embedder", params, [{"id": "one"}, {"id": "two"}])
    by_grpc, by_rest = predicted(client, server, "vectors")
    vector = by_grpc.embeddings[0]
    assert vector.num_dimensions == len(vector.vector) == 1024
    assert np.linalg.norm(vector.vector) == pytest.approx(1, abs=1e-3)
    assert by_rest["embeddings"][0]["vector"] == pytest.approx(list(vector.vector), abs=1e-3)


def test_a_video_is_answered_frame_by_frame(server: Server, client: Client) -> None:
    """By the models that were trained above, over gRPC and REST."""
    sent = {"inputs": [{"data": {"video": {"base64": video("mp4")}}}]}
    sent["model"] = {"output_info": {"output_config": {"sample_ms": 1000}}}
    for model_id in ("finder", "cutter", "vectors"):
        output = one_output(client, model_id=model_id, **sent)
        assert output.status.code == 10000, output.status
        assert [(one.frame_info.index, one.frame_info.time) for one in output.data.frames] == [
            (0, 0), (1, 1000), (2, 2000),
        ]  # fmt: skip
        for region in output.data.frames[0].data.regions if model_id == "cutter" else ():
            assert Image.open(io.BytesIO(region.region_info.mask.image.base64)).size == (64, 48)
    assert all(len(one.data.embeddings[0].vector) == 1024 for one in output.data.frames)
    body = {"inputs": [{"data": {"video": {"base64": base64.b64encode(gif([600, 600])).decode()}}}]}
    code, answer = curl(server, "POST", f"/v2/users/{server.user_id}/apps/{APP}/models/vectors/outputs", body)
    frames = answer["outputs"][0]["data"]["frames"]
    assert (code, [one["frame_info"]["time"] for one in frames]) == (200, ["0", "1000"])  # 64-bit numbers are texts
    assert frames[1]["frame_info"]["number"] == 1


def test_pictures_are_found_by_likeness(server: Server, client: Client, tmp_path: Path) -> None:
    """By the embedder that was trained above: the SDK's Search, and its prediction of a video."""
    picture, film = tmp_path / "picture.png", tmp_path / "film.mp4"
    generator = np.random.default_rng(5)
    picture.write_bytes([scenes.png(scenes.scene(generator)[0]) for _ in range(4)][3])
    film.write_bytes(video("mp4"))
    environment = server.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{server.grpc}",
        "CLARIFAI_PAT": server.token,
        "CLARIFAI_USER_ID": server.user_id,
    }
    script = Path(__file__).parent / "snippets" / "sdk_likeness.py"
    done = subprocess.run(
        [sys.executable, script, APP, picture, film], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name in ("cosine", "euclidean"):
        assert len(found[name]) == 3 and found[name][0][0] == "scene-3", found
        assert found[name][0][1] == pytest.approx(1, abs=1e-2)
    assert all(int(id.removeprefix("scene-")) % 2 == 1 for id, _ in found["filtered"])
    assert next(id for id, _ in found["page"]) == found["euclidean"][2][0]
    assert found["frames"] == [[time, 1024] for time in (0, 500, 1000, 1500, 2000)]


def test_the_guides_incremental_training(server: Server, client: Client) -> None:
    """One more epoch for MMDetection_SSD with the single concept face, from a version that is named."""
    small = {"template": "MMDetection_SSD", "batch_size": 4.0, "image_size": [64.0], "num_gpus": 0.0}
    face = [{"id": "face"}]
    first = trained(
        client, "detection-test", "visual-detector", {**small, "num_epochs": 1.0, "pretrained_weights": "None"}, face
    )
    resumed = {"id": "detection-test", "model_version": {"id": first.id}}
    second = again(
        client,
        "detection-test",
        {"params": {**small, "num_epochs": 1.0, "pretrained_weights": "None"}, "resume_from_model": resumed},
        face,
    )
    assert second.id != first.id
