"""Looking up status codes."""

import pytest
from clarifai_grpc.grpc.api import service_pb2

from luthier.errors import DoesNotExist, InvalidRequest
from luthier.rpcs.context import Context
from luthier.rpcs.status_codes import GetStatusCode, ListStatusCodes


def test_every_code_has_words(bare: Context) -> None:
    statuses = ListStatusCodes(bare, service_pb2.ListStatusCodesRequest()).statuses
    words = {status.code: status.description for status in statuses}
    assert all(words.values())
    assert words[30000] == "Download complete"
    assert words[21100] == "Model is trained and ready"
    assert len(words) > 200


def test_one_code(bare: Context) -> None:
    answer = GetStatusCode(bare, service_pb2.GetStatusCodeRequest(status_code_id="30100"))
    assert (answer.status.code, answer.status.description) == (30100, "Input already exists")
    for id, kind in (("77", DoesNotExist), ("x", InvalidRequest), ("", InvalidRequest), ("-1", InvalidRequest)):
        with pytest.raises(kind):
            GetStatusCode(bare, service_pb2.GetStatusCodeRequest(status_code_id=id))
