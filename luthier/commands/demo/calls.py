"""Calls over clarifai-grpc, each printed as it is made: method, what it says, what came back, milliseconds."""

import os
import time
import urllib.request
from pathlib import Path
from typing import Any

import click

SUCCESS = 10000


class CallError(Exception):
    """An answer whose status is not SUCCESS."""


class Calls:
    """Clarifai's published client, pointed here by the two environment variables that its own documentation names."""

    def __init__(self, grpc_tls_address: str, authority: Path, token: str) -> None:
        os.environ["CLARIFAI_GRPC_BASE"] = grpc_tls_address
        os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(authority)
        from clarifai_grpc.channel.clarifai_channel import ClarifaiChannel  # reads the variables
        from clarifai_grpc.grpc.api import service_pb2_grpc

        self._stub = service_pb2_grpc.V2Stub(ClarifaiChannel.get_grpc_channel())
        self._metadata = (("authorization", f"Key {token}"),)

    def call(self, request: Any, says: str) -> Any:
        """Sends a request to the method that its message is named after, prints the call, returns the answer."""
        answer, milliseconds = self._send(request)
        self.show(_method(request), says, f"{answer.status.code} {answer.status.description}", milliseconds)
        _expect_success(request, answer)
        return answer

    def ask(self, request: Any) -> Any:
        """The same without a line: for polling."""
        answer, _ = self._send(request)
        _expect_success(request, answer)
        return answer

    def show(self, method: str, says: str, outcome: str, milliseconds: float) -> None:
        click.echo(f"{click.style(method, fg='cyan', bold=True)}  {says}\n    → {outcome}  ({milliseconds:.0f} ms)")

    def get_text(self, url: str) -> str:
        """What a signed URL holds; it needs no login."""
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the server we started gave it
            text: str = answer.read().decode("utf-8", errors="replace")
        return text

    def _send(self, request: Any) -> tuple[Any, float]:
        begun = time.perf_counter()
        answer = getattr(self._stub, _method(request))(request, metadata=self._metadata, timeout=60)
        return answer, (time.perf_counter() - begun) * 1000


def _method(request: Any) -> str:
    """PostAppsRequest -> PostApps. Some messages lack the end: the method's name is theirs then."""
    name: str = type(request).__name__
    return name.removesuffix("Request")


def _expect_success(request: Any, answer: Any) -> None:
    if answer.status.code != SUCCESS:
        status = answer.status
        raise CallError(f"{_method(request)}: {status.code} {status.description} {status.details}")
