"""A visual-anomaly-heatmap over gRPC and REST: trained on good pictures alone, asked about good and scratched ones."""

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from tests.e2e.client import Client, curl, until
from tests.e2e.conftest import ON_ONE_DATABASE, Server
from tests.recipes import surfaces

pytestmark = ON_ONE_DATABASE

APP = "surfaces"
GOOD, SCRATCHED = (surfaces.surface(np.random.default_rng(7)), surfaces.scratched(np.random.default_rng(8))[0])


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_good_pictures_in_and_heatmaps_out(server: Server) -> None:
    client = Client(server, APP)
    client.PostApps(apps=[{"id": APP}])
    client.PostConcepts(concepts=[{"id": name, "name": name} for name in ("good", "scratch")])
    generator = np.random.default_rng(5)
    drawn = [surfaces.surface(generator) for _ in range(20)]
    good = [{"id": "good", "value": 1.0}]
    client.PostInputs(inputs=[{"data": {"image": {"base64": png(one)}, "concepts": good}} for one in drawn])
    until(lambda: client.GetInputCount().counts.to_process == 0)

    client.PostModels(models=[{"id": "strange", "model_type_id": "visual-anomaly-heatmap"}])
    params = {"template": "luthier_tiny_patchcore", "image_size": 64.0, "batch_size": 4.0, "coreset_ratio": 0.1}
    concepts = [{"id": "good"}, {"id": "scratch"}]
    version = {"train_info": {"params": params}, "output_info": {"data": {"concepts": concepts}}}
    queued = client.PostModelVersions(model_id="strange", model_versions=[version]).model.model_version
    trained = client.trained("strange", queued.id)
    assert trained.status.code == 21100

    inputs = [{"data": {"image": {"base64": png(one)}}} for one in (GOOD, SCRATCHED)]
    usual, unusual = client.PostModelOutputs(model_id="strange", inputs=inputs).outputs
    assert strangeness(usual.data) < strangeness(unusual.data) and strangeness(unusual.data) > 0.5
    (heatmap,) = unusual.data.heatmaps
    picture = Image.open(io.BytesIO(heatmap.base64))
    assert (picture.format, picture.size) == ("PNG", (surfaces.WIDTH, surfaces.HEIGHT))

    body = {"inputs": [{"data": {"image": {"base64": base64.b64encode(png(SCRATCHED)).decode()}}}]}
    code, answer = curl(server, "POST", f"/v2/users/{server.user_id}/apps/{APP}/models/strange/outputs", body)
    assert (code, answer["status"]["code"]) == (200, 10000)
    alone = base64.b64decode(answer["outputs"][0]["data"]["heatmaps"][0]["base64"])
    differences = pixels(alone) - pixels(heatmap.base64)  # in a batch of two, sums are added up in another order
    assert np.abs(differences).max() <= 2


def pixels(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def strangeness(data: Any) -> float:
    values = {concept.id: concept.value for concept in data.concepts}
    assert abs(values["good"] + values["scratch"] - 1) < 1e-5
    return float(values["scratch"])
