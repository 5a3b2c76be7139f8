"""A few of the mutated messages of `make fuzz`, on the API alone, and the documents that schemathesis is given."""

import logging
from pathlib import Path

import pytest

from luthier import rpcs
from luthier.api.openapi import document
from tests.api.conftest import Thread, settings_for
from tests.api.world import BOB, SERVED, make_world
from tests.fuzz.messages import send
from tests.fuzz.rest import PREFIX, Narrowed

COUNT = 6 * len(SERVED)


def test_bad_C14_mutated_messages_of_every_call_are_answered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world, keys = make_world(tmp_path)
    world.database.close()
    settings = settings_for(tmp_path)
    thread = Thread(settings, rpcs.MODULES)
    try:
        with caplog.at_level(logging.ERROR):
            result = send(settings.grpc_address, keys[BOB], COUNT, seed=20)
    finally:
        thread.stop()
    assert not result.faults and not caplog.records, (result.faults[:5], caplog.text[:2000])
    assert sum(result.codes.values()) == COUNT and result.codes[10000] > COUNT // 20, "most were too broken to tell"


def test_narrowed_requests_end_and_still_name_every_call() -> None:
    narrowed = Narrowed(document(rpcs.MODULES))
    assert set(narrowed.first_routes()) == {method.name for method in SERVED}
    schemas = narrowed.document["components"]["schemas"]

    def depth(name: str) -> int:
        fields = schemas[name].get("properties", {}).values()
        further = [field.get("items", field).get("$ref", "") for field in fields]
        return 1 + max((depth(each.removeprefix(PREFIX)) for each in further if each), default=0)

    body = "clarifai.api.PostInputsRequest.0"
    assert depth(body) <= 5 and {"user_app_id", "inputs"} <= schemas[body]["properties"].keys()
