"""gRPC over real sockets: plain and TLS, in-band errors, broken messages, limits."""

import random
from collections.abc import Iterator

import grpc
import pytest
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from clarifai_grpc.grpc.api.status import status_pb2

from luthier.wire.methods import METHODS
from tests.api.conftest import Running


@pytest.fixture
def channel(server: Running) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.settings.grpc_address, [("grpc.max_send_message_length", -1)]) as made:
        yield made


def metadata(server: Running) -> list[tuple[str, str]]:
    return [("authorization", f"Key {server.token}")]


def request(**more: str) -> service_pb2.GetModelRequest:
    return service_pb2.GetModelRequest(user_app_id=resources_pb2.UserAppIDSet(user_id="u", app_id="a"), **more)


def test_a_call_and_its_answer(server: Running) -> None:
    response = server.call("GetModel", request(model_id="m"))
    assert (response.status.code, response.model.id, response.model.app_id) == (10000, "m", "a")


def test_errors_are_in_band(server: Running) -> None:
    response = server.call("GetModel", request(model_id="missing"))
    assert response.status.code == 21200 and response.status.req_id
    assert server.call("PostWorkflows").status.code == 10040


def test_over_tls_with_the_own_authority(server: Running) -> None:
    authority = (server.settings.data_dir / "tls" / "ca.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(authority)
    port = server.settings.grpc_tls_address.rpartition(":")[2]
    with grpc.secure_channel(f"localhost:{port}", credentials) as secure:
        stub = secure.unary_unary(
            "/clarifai.api.V2/GetModel", response_deserializer=service_pb2.SingleModelResponse.FromString
        )
        response = stub(request(model_id="m").SerializeToString(), metadata=metadata(server), timeout=10)
    assert response.model.id == "m"


def test_tls_is_refused_without_the_authority(server: Running) -> None:
    secure = grpc.secure_channel(server.settings.grpc_tls_address, grpc.ssl_channel_credentials())
    with secure, pytest.raises(grpc.RpcError):
        secure.unary_unary("/clarifai.api.V2/GetModel")(b"", timeout=5)


@pytest.mark.parametrize("method", [m for m in METHODS if m.streaming], ids=lambda m: m.name)
def test_streaming_calls_say_that_they_are_not_served(server: Running, channel: grpc.Channel, method: object) -> None:
    path, read = method.grpc_path, method.response.FromString  # type: ignore[attr-defined]
    if method.client_streaming:  # type: ignore[attr-defined]
        answers = channel.stream_stream(path, response_deserializer=read)(
            iter([b""]), metadata=metadata(server), timeout=10
        )
    else:
        answers = channel.unary_stream(path, response_deserializer=read)(b"", metadata=metadata(server), timeout=10)
    (only,) = list(answers)
    assert only.status.code == 10040 and method.name in only.status.details  # type: ignore[attr-defined]


@pytest.mark.parametrize("data", [b"\xff\xff\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x05ab", bytes(range(256))])
def test_bad_C14_broken_messages(server: Running, data: bytes) -> None:
    response = server.call("GetModel", data=data)
    assert response.status.code == 11100 and "GetModelRequest" in response.status.details


def test_bad_C14_recursion(server: Running) -> None:
    text = b""
    for _ in range(2000):  # a Struct in a Value in a Struct …
        text = b"\x0a" + varint(len(text) + 6) + b"\x0a\x00" + b"\x12" + varint(len(text)) + text
    response = server.call("PostModels", data=text)
    assert response.status.code in (11100, 10000)
    assert server.call("GetModel", request(model_id="m")).status.code == 10000, "the process lives"


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def test_bad_C14_random_mutations_never_fail_the_transport(server: Running, channel: grpc.Channel) -> None:
    stub = channel.unary_unary("/clarifai.api.V2/PostInputs")
    good = service_pb2.PostInputsRequest(
        inputs=[{"id": "i", "data": {"image": {"base64": b"x" * 50}}}]
    ).SerializeToString()
    draw = random.Random(3)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(draw.randrange(1, 6)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        reply = stub(bytes(data[: draw.randrange(1, len(data) + 1)]), metadata=metadata(server), timeout=10)
        assert status_pb2.BaseResponse.FromString(reply).status.code in (10000, 11100)


def test_bad_C15_over_the_limit(server: Running, channel: grpc.Channel) -> None:
    stub = channel.unary_unary("/clarifai.api.V2/PostInputs")
    with pytest.raises(grpc.RpcError) as caught:
        stub(b"\x0a" * (128 * 2**20 + 1), metadata=metadata(server), timeout=60)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(128 * 2**20) in caught.value.details()


def test_many_at_once(server: Running, channel: grpc.Channel) -> None:
    call = channel.unary_unary(
        "/clarifai.api.V2/GetModel", response_deserializer=service_pb2.SingleModelResponse.FromString
    )
    futures = [
        call.future(request(model_id=f"m{number}").SerializeToString(), metadata=metadata(server))
        for number in range(200)
    ]
    assert [future.result().model.id for future in futures] == [f"m{number}" for number in range(200)]


def test_an_unknown_service_is_a_transport_fault(server: Running, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/clarifai.api.V2/NoSuchCall")(b"", timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
