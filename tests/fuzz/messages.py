"""Mutated gRPC messages against every served call: `python -m tests.fuzz.messages [--count 10000] [--seed 1]`.

A run is good where no call fails in the transport (UNKNOWN, INTERNAL), none answers that the server failed (10020), the
server's log holds no failure and the server lives.
"""

import argparse
import collections
import random
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from google.protobuf.json_format import MessageToJson

from luthier.wire.methods import Method
from tests import postgres
from tests.api.world import BOB, ENTRIES, SERVED, THEIRS, request_of
from tests.fuzz.mutation import Mutator
from tests.fuzz.refill import refilled
from tests.fuzz.target import target

SENDERS = 8
SECONDS = 60  # for one call
FAILURE = 10020


@dataclass
class Result:
    codes: collections.Counter[int] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)


def send(address: str, token: str, count: int, seed: int) -> Result:
    """`count` messages, spread over all served calls; what is sent depends on the seed alone."""
    result = Result()
    with grpc.insecure_channel(address) as channel, refilled(address, token), ThreadPoolExecutor(SENDERS) as pool:
        for code, fault in pool.map(lambda number: _one(channel, token, seed, number), range(count)):
            result.codes[code] += 1
            if fault:
                result.faults.append(fault)
    return result


def _one(channel: grpc.Channel, token: str, seed: int, number: int) -> tuple[int, str]:
    draw = random.Random(f"{seed}/{number}")
    method = _method(number)
    data = Mutator(draw).mutated(request_of(method, ENTRIES[method.name], BOB, THEIRS))
    call = channel.unary_unary(method.grpc_path, response_deserializer=method.response.FromString)
    try:
        status = call(data, metadata=[("authorization", f"Key {token}")], timeout=SECONDS).status
    except grpc.RpcError as error:
        return -1, f"{error.code()} {error.details()}: {_told(method, seed, number, data)}"
    fault = f"{status.req_id} {status.details}: {_told(method, seed, number, data)}" if status.code == FAILURE else ""
    return int(status.code), fault


def _method(number: int) -> Method:
    """Each in turn; but deletions, after which other calls find little, only in every fifth turn."""
    turn, at = divmod(number, len(SERVED))
    method = SERVED[at]
    return SERVED[turn % len(SERVED)] if method.name.startswith("Delete") and turn % 5 else method


def _told(method: Method, seed: int, number: int, data: bytes) -> str:
    try:
        shape = MessageToJson(method.request.FromString(data), indent=None)
    except Exception:
        shape = data.hex()
    return f"{method.name} seed {seed} number {number} {shape[:2000]}"


@contextmanager
def databases(named: str) -> Iterator[str]:
    """The database URL; "" for SQLite."""
    if named == "sqlite":
        yield ""
        return
    with postgres.server() as server, server.bare() as url:
        yield url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, databases(given.database) as url, target(Path(folder), url) as there:
        result = send(there.server.grpc, there.token, given.count, given.seed)
        result.faults += there.faults()
    told = ", ".join(f"{code}: {number}" for code, number in sorted(result.codes.items()))
    print(f"{given.database}: {given.count} messages to {len(SERVED)} calls; answers by code: {told}")
    for fault in result.faults[:50]:
        print(f"FAULT {fault}")
    print(f"{len(result.faults)} faults")
    sys.exit(bool(result.faults))


if __name__ == "__main__":
    main()
