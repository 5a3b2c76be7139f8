"""The SDK's Search by picture, and its prediction of a video. Prints what was found as JSON."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from clarifai.client.model import Model
from clarifai.client.search import Search

USER, BASE, APP = os.environ["CLARIFAI_USER_ID"], os.environ["CLARIFAI_API_BASE"], sys.argv[1]
PICTURE, VIDEO = Path(sys.argv[2]), Path(sys.argv[3])


def main() -> None:
    first = {"image_bytes": PICTURE.read_bytes()}
    found = {
        "cosine": hits([first], metric="cosine", algorithm="brute_force", top_k=3),
        "euclidean": hits([first], metric="euclidean", top_k=3),
        "filtered": hits([first], [{"concepts": [{"id": "two", "value": 1}]}], metric="euclidean", top_k=3),
        "page": hits([first], how={"page_no": 2, "per_page": 2}, metric="euclidean", pagination=True),
        "frames": frames("vectors"),
    }
    print(json.dumps(found))


def hits(
    ranks: list[dict[str, Any]],
    filters: list[dict[str, Any]] | None = None,
    how: dict[str, int] | None = None,
    **search: Any,
) -> list[tuple[str, float]]:
    made = Search(user_id=USER, app_id=APP, base_url=BASE, **{"algorithm": "nearest_neighbor", **search})
    answers = made.query(ranks=ranks, filters=filters or [{}], **(how or {}))
    return [(hit.input.id, hit.score) for answer in answers for hit in answer.hits]


def frames(model_id: str) -> list[tuple[int, int]]:
    model = Model(user_id=USER, app_id=APP, model_id=model_id, base_url=BASE)
    answer = model.predict_by_filepath(str(VIDEO), input_type="video", output_config={"sample_ms": 500})
    return [(one.frame_info.time, one.data.embeddings[0].num_dimensions) for one in answer.outputs[0].data.frames]


main()
