"""Annotations of every kind over gRPC, REST and the SDK, and what a frozen version counts of them."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from clarifai_grpc.grpc.api import resources_pb2

from tests.conftest import png
from tests.e2e.client import Client, curl, until
from tests.e2e.conftest import Server

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).parent / "snippets" / "sdk_annotations.py"
PICTURE = png(np.arange(96, dtype=np.uint8).reshape(8, 12))
MASK = png((np.arange(96).reshape(8, 12) % 5 == 0).astype(np.uint8) * 255)
TEXT = "Zürich lies east of Bern."


@pytest.fixture(scope="module")
def client(server: Server) -> Client:
    client = Client(server, "notes")
    client.PostApps(user_app_id={"user_id": server.user_id}, apps=[resources_pb2.App(id="notes")])
    picture = resources_pb2.Data(image=resources_pb2.Image(base64=PICTURE))
    words = resources_pb2.Data(text=resources_pb2.Text(raw=TEXT))
    client.PostInputs(inputs=[resources_pb2.Input(id="p", data=picture), resources_pb2.Input(id="t", data=words)])
    until(lambda: client.GetInputCount().counts.to_process == 0)
    return client


def test_a_mask_by_curl_and_its_file_by_the_address_in_the_answer(server: Server, client: Client) -> None:
    region = {
        "region_info": {"mask": {"image": {"base64": base64.b64encode(MASK).decode()}}},
        "data": {"concepts": [{"id": "leaf"}]},
    }
    body = {"annotations": [{"id": "m", "input_id": "p", "data": {"regions": [region]}}]}
    path = f"/v2/users/me/apps/{client.ids.app_id}"
    code, answer = curl(server, "POST", f"{path}/annotations", body)
    assert (code, answer["annotations"][0]["status"]["code"]) == (200, 24150)
    code, answer = curl(server, "GET", f"{path}/inputs/p/annotations/m")
    (made,) = answer["annotation"]["data"]["regions"]
    assert made["data"]["concepts"][0]["value"] == 1  # nothing was said over REST
    image = made["region_info"]["mask"]["image"]
    assert base64.b64decode(image["base64"]) == MASK
    assert (image["image_info"]["width"], image["image_info"]["height"]) == (12, 8)
    with urllib.request.urlopen(image["url"], timeout=20) as file:
        assert file.read() == MASK
        assert file.headers["content-disposition"].startswith("attachment")
    request = urllib.request.Request(image["url"][:-1] + ("0" if image["url"][-1] != "0" else "1"))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(request, timeout=20)


def test_an_unset_value_over_grpc_is_a_negative_label(client: Client) -> None:
    concepts = [resources_pb2.Concept(id="night"), resources_pb2.Concept(id="day", value=1)]
    sent = resources_pb2.Annotation(id="l", input_id="p", data=resources_pb2.Data(concepts=concepts))
    made = client.PostAnnotations(annotations=[sent]).annotations[0]
    assert {concept.id: concept.value for concept in made.data.concepts} == {"night": 0, "day": 1}


def test_spans_are_found_and_frozen(server: Server, client: Client) -> None:
    sent = resources_pb2.Annotation(id="s", input_id="t")
    for start, end, raw in ((0, 6, "Zürich"), (20, 24, "Bern")):
        region = sent.data.regions.add()
        region.region_info.span.char_start, region.region_info.span.char_end = start, end
        region.region_info.span.raw_text = raw
        region.data.concepts.add(id="place", value=1)
    client.PostAnnotations(annotations=[sent])
    search = {"searches": [{"query": {"filters": [{"annotation": {"data": {"concepts": [{"id": "place"}]}}}]}}]}
    code, answer = curl(server, "POST", f"/v2/users/me/apps/{client.ids.app_id}/annotations/searches", search)
    assert (code, [hit["annotation"]["id"] for hit in answer["hits"]]) == (200, ["s"])
    client.PostDatasets(datasets=[resources_pb2.Dataset(id="d")])
    members = [resources_pb2.DatasetInput(input=resources_pb2.Input(id=id)) for id in ("p", "t")]
    client.PostDatasetInputs(dataset_id="d", dataset_inputs=members)
    client.PostDatasetVersions(dataset_id="d", dataset_versions=[resources_pb2.DatasetVersion(id="v")])

    def version() -> resources_pb2.DatasetVersion:
        return client.GetDatasetVersion(dataset_id="d", dataset_version_id="v").dataset_version

    until(lambda: version().status.code == 64015)
    metrics = version().metrics["/"]
    assert (metrics.inputs_count.value, metrics.masks_count.value, metrics.regions_count.value) == (2, 1, 3)
    assert (metrics.region_inputs_count.value, metrics.positive_region_tags_count.value) == (2, 3)


def test_the_sdk_draws_changes_lists_and_deletes(server: Server, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(PICTURE)
    (tmp_path / "mask.png").write_bytes(MASK)
    environment = server.client_environment() | {
        "CLARIFAI_API_BASE": f"http://{server.grpc}",
        "CLARIFAI_USER_ID": server.user_id,
        "CLARIFAI_PAT": server.token,
        "PICTURE": str(tmp_path / "picture.png"),
        "MASK": str(tmp_path / "mask.png"),
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["listed"] == ["box", "outline", "mask"]
    assert seen["box"] == [0.125, 0.25, 0.5, 1.0]
    assert seen["concepts"] == {"box": "cat", "mask": "leaf", "outline": "tail"}
    assert (seen["corners"], seen["left"], seen["none"]) == (3, ["box", "mask"], [])
