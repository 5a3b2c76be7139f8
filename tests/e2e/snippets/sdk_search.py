"""The SDK's Search: every kind of filter that it can make, by pages and by `top_k`. Prints what was found as JSON."""

import json
import os
from typing import Any

from clarifai.client.app import App
from clarifai.client.search import Search
from clarifai.client.user import User
from clarifai_grpc.grpc.api import resources_pb2

USER, BASE, APP = os.environ["CLARIFAI_USER_ID"], os.environ["CLARIFAI_API_BASE"], "searched"
TEXTS = {
    "a": ("apt fails on amd64", ["bug"], {"arch": "amd64"}, (2.35, 48.86)),
    "b": ("please package Zola", ["wish"], {"arch": "all"}, (12.5, 41.9)),
    "c": ("APT hangs", ["bug", "apt"], {"arch": "arm64"}, (2.12, 48.8)),
}


def main() -> None:
    User(user_id=USER, base_url=BASE).create_app(app_id=APP, base_workflow="Empty")
    app = App(user_id=USER, app_id=APP, base_url=BASE)
    app.create_dataset(dataset_id="d")
    inputs = app.inputs()
    sent = []
    for id, (text, labels, metadata, (longitude, latitude)) in TEXTS.items():
        one = inputs.get_input_from_bytes(id, text_bytes=text.encode(), labels=labels, metadata=struct(metadata))
        one.data.geo.geo_point.CopyFrom(resources_pb2.GeoPoint(longitude=longitude, latitude=latitude))
        one.dataset_ids.extend(["d"] if id != "b" else [])
        sent.append(one)
    inputs.upload_inputs(sent)
    place = {"longitude": 2.35, "latitude": 48.86, "geo_limit": 30}
    found = {
        "nothing asked": ids(),
        "one concept": ids(concepts=[{"id": "bug", "value": 1}]),
        "two concepts": ids(concepts=[{"id": "bug", "value": 1}, {"name": "apt", "value": 1}]),
        "text": ids(text_raw="apt"),
        "metadata": ids(metadata={"arch": "all"}),
        "place": ids(geo_point=place),
        "dataset": ids(input_dataset_ids=["d"]),
        "kind": ids(input_types=["image"]),
        "status": ids(input_types=["text"], input_status_code=30000),
        "page": ids({"pagination": True}, {"page_no": 2, "per_page": 2}),
        "first": ids({"top_k": 1}),
    }
    print(json.dumps(found))


def struct(values: dict[str, str]) -> Any:
    from google.protobuf.struct_pb2 import Struct

    made = Struct()
    made.update(values)
    return made


def ids(how: dict[str, Any] | None = None, page: dict[str, int] | None = None, /, **one_filter: Any) -> list[str]:
    search = Search(user_id=USER, app_id=APP, metric="euclidean", base_url=BASE, **(how or {}))
    answers = search.query(filters=[one_filter], **(page or {}))
    return [hit.input.id for answer in answers for hit in answer.hits]


main()
