"""Bodies that are no JSON: forms with files, and raw parts of uploads. Functions are stubs that echo."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from clarifai_grpc.grpc.api import service_pb2

from luthier.api import forms
from luthier.errors import BadRequestFormat, InvalidRequest, LuthierError
from tests.api.conftest import Running
from tests.rpcs.pictures import picture

APP = "/v2/users/u/apps/a"
PNG = picture()
Field = tuple[str, str | None, bytes]  # name, file name, bytes


def form(*fields: Field, boundary: str = "xyz", kind: str = "") -> bytes:
    made = b""
    for name, filename, data in fields:
        named = f'; filename="{filename}"' if filename is not None else ""
        made += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n'.encode()
        made += (f"Content-Type: {kind}\r\n" if kind else "").encode() + b"\r\n" + data + b"\r\n"
    return made + f"--{boundary}--\r\n".encode()


def read(*fields: Field, **more: Any) -> service_pb2.PostInputsRequest:
    request = service_pb2.PostInputsRequest()
    assert forms.read("PostInputs", "multipart/form-data; boundary=xyz", b"", form(*fields, **more), request)
    return request


def test_a_file_is_an_input_and_the_fields_are_true_of_all() -> None:
    request = read(
        ("image", 'cat \\"1\\".png', PNG),
        ("image", "b.png", b"\r\n--xy not the boundary\r\n"),
        ("concepts", None, "Äpfel".encode()),
        ("concepts", None, b"fruit"),
        ("negative_concepts", None, b"dog"),
        ("dataset_ids", None, b"d"),
        ("metadata", None, b'{"site": "north"}'),
        ("inputs_add_job_id", None, b"job"),
    )
    first, second = request.inputs
    assert first.data.image.base64 == PNG and second.data.image.base64 == b"\r\n--xy not the boundary\r\n"
    for one in request.inputs:
        assert [(c.id, c.value) for c in one.data.concepts] == [("Äpfel", 1), ("fruit", 1), ("dog", 0)]
        assert list(one.dataset_ids) == ["d"] and one.data.metadata["site"] == "north"
    assert first.data.metadata["filename"] == 'cat "1".png' and second.data.metadata["filename"] == "b.png"
    assert request.inputs_add_job_id == "job"


def test_ids_texts_and_an_input_as_json() -> None:
    template = b'{"data": {"concepts": [{"id": "cat"}], "geo": {"geo_point": {"longitude": 1.5, "latitude": 2}}}}'
    request = read(("text", "a.txt", b"\xef\xbb\xbfHello"), ("text", None, b"There"), ("input", None, template), *IDS)
    assert [(one.id, one.data.text.raw) for one in request.inputs] == [("1", "Hello"), ("2", "There")]
    assert request.inputs[0].data.concepts[0].value == 1, "as everywhere in REST"
    assert request.inputs[1].data.geo.geo_point.longitude == 1.5
    assert read(("file", "a.txt", b"x"), kind="text/plain").inputs[0].data.text.raw == "x"
    assert read(("file", "a.bin", b"x")).inputs[0].data.image.base64 == b"x"


IDS: tuple[Field, ...] = (("id", None, b"1"), ("id", None, b"2"))


@pytest.mark.parametrize(
    ("fields", "kind", "says"),
    [
        ((), InvalidRequest, "the form holds no file"),
        ((("concepts", None, b"x"),), InvalidRequest, "the form holds no file"),
        ((("image", "a", PNG), *IDS), InvalidRequest, "id is given 2 times for 1 files"),
        ((("image", "a", PNG), ("concept", None, b"x")), InvalidRequest, "the field 'concept' is not known"),
        ((("picture", "a", PNG),), InvalidRequest, "called 'picture'; call it image, text, file"),
        ((("image", "a", PNG), ("metadata", None, b"{")), BadRequestFormat, "the field metadata: the body is not JSON"),
        ((("image", "a", PNG), ("input", None, b'{"data": 1}')), LuthierError, "data"),
        ((("text", "a", b"\xff"),), BadRequestFormat, "the field text is not UTF-8 at byte 0"),
        ((("image", "a", PNG), ("concepts", None, b"\xff")), BadRequestFormat, "not UTF-8"),
        ((("image", "a", PNG), ("concepts", None, b"x" * (2**20 + 1))), InvalidRequest, "has 1048577 bytes"),
        (tuple(("image", "a", b"") for _ in range(1001)), BadRequestFormat, "more than 1000 parts"),
        (tuple(("image", "a", PNG) for _ in range(129)), InvalidRequest, "129 files; send 1 to 128 in one call"),
        (
            (*(("text", "a", b"x") for _ in range(128)), ("metadata", None, b'{"a": "' + b"x" * 2**17 + b'"}')),
            InvalidRequest,
            "the fields beside the 128 files have 131081 characters; at most 131072 for so many",
        ),
    ],
)
def test_forms_that_make_no_sense(fields: tuple[Field, ...], kind: type[LuthierError], says: str) -> None:
    with pytest.raises(kind, match=says):
        read(*fields)


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        ("multipart/form-data", form(("image", "a", PNG)), "names no boundary"),
        ("multipart/form-data; boundary=other", form(("image", "a", PNG)), "does not begin with its boundary"),
        ("multipart/form-data; boundary=xyz", b"", "does not begin with its boundary"),
        ("multipart/form-data; boundary=xyz", form(("image", "a", PNG))[:-10], "ends early"),
        ("multipart/form-data; boundary=xyz", b"--xyzabc", "damaged at byte 5"),
        ("multipart/form-data; boundary=xyz", b"--xyz\r\nno headers\r\n--xyz--", "no end of its headers"),
        ("multipart/form-data; boundary=xyz", b"--xyz\r\nA: b\r\n\r\nx\r\n--xyz--", "has no name"),
        (
            'multipart/form-data; boundary="xyz"',
            b'--xyz\r\nContent-Disposition: form-data; name="image"\r\nContent-Transfer-Encoding: base64\r\n\r\nx'
            b"\r\n--xyz--",
            "is encoded; send its bytes as they are",
        ),
    ],
)
def test_bodies_that_are_no_form(content_type: str, body: bytes, says: str) -> None:
    with pytest.raises(BadRequestFormat, match=says):
        forms.read("PostInputs", content_type, b"", body, service_pb2.PostInputsRequest())


def test_a_form_is_for_inputs_and_raw_bytes_for_parts() -> None:
    with pytest.raises(BadRequestFormat, match="forms are read by PostInputs only; send JSON to PostApps"):
        forms.read("PostApps", "multipart/form-data; boundary=x", b"", b"", service_pb2.PostAppsRequest())
    request = service_pb2.PutUploadContentPartsRequest()
    assert forms.read("PutUploadContentParts", "application/octet-stream", b"range_start=5", b"\x00raw", request)
    assert (request.content_parts[0].range_start, request.content_parts[0].data) == (5, b"\x00raw")
    with pytest.raises(BadRequestFormat, match="range_start is '-1'"):
        forms.read("PutUploadContentParts", "application/octet-stream", b"range_start=-1", b"", request)
    for kind in ("", "application/json", "application/x-www-form-urlencoded", "text/plain"):
        assert not forms.read("PostInputs", kind, b"", b"{}", service_pb2.PostInputsRequest())
    assert not forms.read("PostInputs", "application/octet-stream", b"", b"{}", service_pb2.PostInputsRequest())


def test_curl_sends_files(server: Running, tmp_path: Path) -> None:
    file = tmp_path / "cat;1.png"
    file.write_bytes(PNG)
    command = [
        "curl",
        "-sS",
        "-F",
        f'image=@"{file}"',
        "-F",
        "concepts=cat",
        "-H",
        f"Authorization: Key {server.token}",
    ]
    url = f"http://{server.settings.http_address}{APP}/inputs"
    done = subprocess.run([*command, url], capture_output=True, text=True, check=True)
    data = json.loads(done.stdout)["inputs"][0]["data"]
    assert data["metadata"] == {"filename": "cat;1.png"} and data["concepts"] == [{"id": "cat", "value": 1.0}]
    assert data["image"]["base64"]


def test_a_form_may_come_gzipped(server: Running) -> None:
    body = gzip.compress(form(("image", "a.png", PNG)))
    headers = {"Content-Type": "multipart/form-data; boundary=xyz", "Content-Encoding": "gzip"}
    answer = server.ask("POST", f"{APP}/inputs", body, headers=headers)
    assert answer.status == 200 and answer.json["inputs"][0]["data"]["image"]["base64"]
