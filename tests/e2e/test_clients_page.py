"""The blocks of docs/clients.md, run as they stand but for the addresses; and what the page says of certificates."""

import os
import re
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel
from clarifai_grpc.grpc.api import resources_pb2, service_pb2, service_pb2_grpc

from tests.e2e import nodejs_client
from tests.e2e.client import curl
from tests.e2e.conftest import Server

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
BLOCKS = re.findall(r"<!-- run -->\n```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
EXPECTED = {
    "ClarifaiChannel": "10000 ['visual-classifier'",
    "http://127.0.0.1:8081": "from-the-sdk",
    "https://localhost:8443": "from-the-sdk-over-tls",
    "ClarifaiStub": "'visual-classifier'",
    "fetch": "'visual-classifier'",
    "models/types?per_page=1000": '"visual-classifier"',
    "from-curl": '"id":"from-curl"',
}


def test_every_block_is_expected_to_print_something() -> None:
    assert [next(key for key in EXPECTED if key in text) for _, text in BLOCKS] == list(EXPECTED)


@pytest.mark.parametrize("number", range(len(EXPECTED)), ids=[re.sub(r"\W+", "-", key) for key in EXPECTED])
def test_block(number: int, server: Server, tmp_path: Path) -> None:
    (language, text), expected = BLOCKS[number], list(EXPECTED.values())[number]
    for standing, own in (
        ("127.0.0.1:8080", server.http),
        ("127.0.0.1:8081", server.grpc),
        ("localhost:8443", server.tls),
    ):
        text = text.replace(standing, own)
    commands: dict[str, list[str | Path]] = {
        "python": [sys.executable, "-c"],
        "bash": ["bash", "-euc"],
        "javascript": [nodejs_client.NODE, "-e"],
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = server.client_environment() | {"PATH": path, "NODE_PATH": str(nodejs_client.install())}
    done = subprocess.run(
        [*commands[language], text], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout, done.stdout


def test_without_the_authority_a_tls_client_refuses_the_server(server: Server) -> None:
    stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_grpc_channel(base=server.tls))
    with pytest.raises(grpc.RpcError, match="CERTIFICATE_VERIFY_FAILED"):
        stub.ListModelTypes(service_pb2.ListModelTypesRequest(), metadata=[("authorization", f"Key {server.token}")])


def test_one_call_gives_one_answer_whatever_carries_it(server: Server) -> None:
    """Plain gRPC, gRPC over TLS and REST."""
    host, _, port = server.grpc.rpartition(":")
    authority = str(server.data_dir / "tls" / "ca.pem")
    channels = [
        ClarifaiChannel.get_insecure_grpc_channel(base=host, port=int(port)),
        ClarifaiChannel.get_grpc_channel(base=server.tls, root_certificates_path=authority),
    ]
    user = resources_pb2.UserAppIDSet(user_id=server.user_id)
    answers = [
        service_pb2_grpc.V2Stub(channel).GetUser(
            service_pb2.GetUserRequest(user_app_id=user), metadata=[("authorization", f"Key {server.token}")]
        )
        for channel in channels
    ]
    assert answers[0].user == answers[1].user
    _, shown = curl(server, "GET", f"/v2/users/{server.user_id}")
    assert (shown["status"]["code"], shown["user"]["id"]) == (10000, answers[0].user.id)
