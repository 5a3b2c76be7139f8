"""/metrics: what a Prometheus server reads."""

import re

import pytest

from luthier.api.metrics import BUCKETS, Calls
from luthier.store import jobs, tables
from luthier.store.database import now
from tests.api.conftest import Running

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"\\\n]*"(,[a-z]+="[^"\\\n]*")*\})? [0-9.e+-]+')


def figures(server: Running) -> dict[str, float]:
    answer = server.ask("GET", "/metrics", token=None)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines)
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_calls_are_counted_by_name_transport_and_status(server: Running) -> None:
    good = 'luthier_requests_total{rpc="GetModel",transport="rest",status="200",code="10000"}'
    missing = 'luthier_requests_total{rpc="GetModel",transport="rest",status="404",code="21200"}'
    over_grpc = 'luthier_requests_total{rpc="GetModel",transport="grpc",status="200",code="10000"}'
    count = 'luthier_request_seconds_count{rpc="GetModel"}'
    before = figures(server)
    server.ask("GET", "/v2/users/u/apps/a/models/m")
    server.ask("GET", "/v2/users/u/apps/a/models/missing")
    server.call("GetModel")
    after = figures(server)
    for name, more in ((good, 1), (missing, 1), (over_grpc, 1), (count, 3)):
        assert after[name] - before.get(name, 0) == more


def test_paths_that_clients_make_up_get_no_names(server: Running) -> None:
    server.ask("GET", '/v2/made-up"}\\n', token=None)
    server.ask("GET", "/livez")
    found = figures(server)
    assert not any("made" in name for name in found)
    assert found['luthier_request_seconds_count{rpc="other"}'] >= 2


def test_jobs_and_waiting_inputs(server: Running) -> None:
    before = figures(server)
    app = server.make_app("metrics")
    with server.database.write() as connection:
        jobs.enqueue(connection, "snapshot", "data", "luthier", {})
        row = {"app": app, "id": "i", "kind": "image", "blob": "", "size": 1, "format": "PNG", "width": 1, "height": 1}
        rest = {"status": 30001, "message": b"", "created_at": now(), "modified_at": now()}
        connection.execute(tables.inputs.insert().values(**row, **rest))
    after = figures(server)
    name = 'luthier_jobs{kind="snapshot",state="queued"}'
    assert after[name] - before.get(name, 0) == 1
    assert after["luthier_inputs_pending"] - before["luthier_inputs_pending"] == 1


def test_the_process_is_told(server: Running) -> None:
    found = figures(server)
    assert found["process_resident_memory_bytes"] > 10_000_000 and found["process_cpu_seconds_total"] > 0
    assert found["luthier_database_up"] == 1


def test_a_database_that_fails_costs_its_own_figures_alone(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise OSError("disk")

    monkeypatch.setattr("luthier.store.counts.pending_inputs", broken)
    found = figures(server)
    assert found["luthier_database_up"] == 0 and "luthier_inputs_pending" not in found
    assert any(name.startswith("luthier_requests_total") for name in found)


def test_a_histogram_counts_up_to_each_bound() -> None:
    calls = Calls()
    for seconds in (0.001, 0.0025, 0.3, 99.0):
        calls.count("GetModel", "rest", 200, 10000, seconds)
    lines = list(calls.lines())
    assert 'luthier_request_seconds_bucket{rpc="GetModel",le="0.0025"} 2' in lines
    assert 'luthier_request_seconds_bucket{rpc="GetModel",le="0.5"} 3' in lines
    assert 'luthier_request_seconds_bucket{rpc="GetModel",le="+Inf"} 4' in lines
    assert 'luthier_request_seconds_sum{rpc="GetModel"} 99.303500' in lines
    assert sum("_bucket" in line for line in lines) == len(BUCKETS) + 1
