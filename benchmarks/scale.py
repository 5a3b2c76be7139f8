"""What an app of a million inputs costs beside a small one: adding, listing, searching, freezing, and memory.

    python benchmarks/scale.py [--sizes 10000 100000 1000000] [--databases sqlite postgresql] [--calls 300]

Each database is filled through the store's bulk path to each size in turn; inputs have two concepts each, one that a
tenth of them has and one that a thousandth has. Then a server of its own, an API and a worker process, is asked over
gRPC. The fill writes rows alone: there are no files behind its pictures. The bare figures are the database's driver
doing the least that the same question needs, in this process, without a server. Prints Markdown.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from PIL import Image
from sqlalchemy import func, insert, select, text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from luthier.settings import Settings  # noqa: E402
from luthier.store import annotations, concepts, datasets, inputs, tables, tokens  # noqa: E402
from luthier.store.annotations import NewAnnotation  # noqa: E402
from luthier.store.database import Database, now  # noqa: E402
from luthier.store.inputs import NewInput  # noqa: E402
from luthier.store.migrations import migrate  # noqa: E402
from tests import postgres  # noqa: E402

APP, DATASET = "scale", "all"
CLASSES, TAGS = 10, 1000
FILL_ROWS = 2000  # inputs in a transaction of the fill
MORE, BATCH = 5000, 125  # inputs that PostInputs adds at each size, and in each call
PAGE = 128
FREEZE_LIMIT_SECONDS = 600


# -- a server ----------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """An API and a worker process on a data folder; with `with`: starts them, waits until they answer, ends them."""

    folder: Path
    database_url: str
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> "Server":
        ports = [free_port() for _ in range(3)]
        names = ("HTTP", "GRPC", "GRPC_TLS")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LUTHIER_")}
        self.environment = clean | {
            "LUTHIER_DATA_DIR": str(self.folder),
            "LUTHIER_DATABASE_URL": self.database_url,
            "LUTHIER_OFFLINE": "1",
            "LUTHIER_WARM_START": "0",
            **{f"LUTHIER_{name}_ADDRESS": f"127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)},
        }
        self.database = Database.of(Settings(data_dir=self.folder, database_url=self.database_url))
        migrate(self.database)
        with self.database.write() as connection:
            made = tokens.first_user(connection)
        assert made
        self.metadata = (("authorization", f"Key {made[1]}"),)
        for name in ("api", "worker"):
            with (self.folder / f"{name}.log").open("wb") as log:
                command = [sys.executable, "-m", "luthier", name, "--supervised"]
                pipes = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log}
                self.processes[name] = subprocess.Popen(command, cwd=ROOT, env=self.environment, **pipes)  # type: ignore[call-overload]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{ports[1]}", [("grpc.max_receive_message_length", -1)])
        grpc.channel_ready_future(self.channel).result(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(60)
        self.database.close()

    def ask(self, rpc: str, request: Any) -> Any:
        request.user_app_id.user_id, request.user_app_id.app_id = "me", APP
        method = service_pb2.DESCRIPTOR.services_by_name["V2"].methods_by_name[rpc]
        response = GetMessageClass(method.output_type)
        call = self.channel.unary_unary(f"/clarifai.api.V2/{rpc}", type(request).SerializeToString, response.FromString)
        answer = call(request, metadata=self.metadata, timeout=120)
        assert answer.status.code == 10000, answer.status
        return answer

    def memory_mb(self, name: str) -> float:
        status = Path(f"/proc/{self.processes[name].pid}/status").read_text()
        return float(status.split("VmRSS:")[1].split()[0]) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def peak_memory(server: Server, name: str) -> Iterator[list[float]]:
    """A list whose only entry is the largest memory of a process, in MB, looked at every 20 ms."""
    peak, over = [server.memory_mb(name)], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], server.memory_mb(name))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        over.set()
        watcher.join()


# -- the fill ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """Numbers of the rows that the fill refers to."""

    app: int
    dataset: int
    concepts: dict[str, int]


def concept_ids(number: int) -> tuple[str, str]:
    """What input `number` shows."""
    return f"class-{number % CLASSES}", f"tag-{number * 7919 % TAGS}"


def prepare(server: Server) -> World:
    server.ask("PostApps", service_pb2.PostAppsRequest(apps=[resources_pb2.App(id=APP)]))
    server.ask("PostDatasets", service_pb2.PostDatasetsRequest(datasets=[resources_pb2.Dataset(id=DATASET)]))
    names = [f"class-{number}" for number in range(CLASSES)] + [f"tag-{number}" for number in range(TAGS)]
    with server.database.write() as connection:
        app = connection.execute(select(tables.apps.c.seq).where(tables.apps.c.id == APP)).scalar_one()
        made = concepts.seqs_made(connection, app, {name: name for name in names})
        dataset = datasets.seqs(connection, app, [DATASET])[DATASET]
    return World(app, dataset, made)


def fill(server: Server, world: World, start: int, end: int) -> float:
    """Inputs `start` to `end` with their labels and memberships; returns inputs a second."""
    began = time.perf_counter()
    for at in range(start, end, FILL_ROWS):
        numbers = range(at, min(at + FILL_ROWS, end))
        with server.database.write() as connection:
            rows = inputs.add(connection, world.app, [filled(number) for number in numbers], None)
            marks = [
                NewAnnotation(row.seq, row.id, True, b"", {world.concepts[id]: 1 for id in concept_ids(number)})
                for row, number in zip(rows, numbers, strict=True)
            ]
            annotations.add(connection, world.app, "luthier", 24150, marks)
            datasets.add_members(connection, [(world.dataset, row.seq) for row in rows])
    seconds = time.perf_counter() - began
    if not server.database.local:  # what autovacuum does by itself within minutes of such a fill
        with server.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
    return (end - start) / seconds if seconds else 0.0


def filled(number: int) -> NewInput:
    sha = sha256(str(number).encode()).hexdigest()
    metadata = Struct()
    metadata.update({"camera": f"c{number % 50}", "number": number})
    message = resources_pb2.Input(data=resources_pb2.Data(metadata=metadata)).SerializeToString()
    return NewInput(sha[:32], "image", sha, 40_000, "JPEG", 640, 480, "", 30000, message)


# -- what is measured --------------------------------------------------------------------------------------------------


def milliseconds(calls: Sequence[Callable[[], object]]) -> list[float]:
    """What each call took, sorted."""
    found = []
    for call in calls:
        began = time.perf_counter()
        call()
        found.append((time.perf_counter() - began) * 1000)
    return sorted(found)


def p99(sorted_milliseconds: Sequence[float]) -> float:
    return sorted_milliseconds[min(len(sorted_milliseconds) - 1, int(len(sorted_milliseconds) * 0.99))]


def pages(count: int) -> int:
    return max(1, count // PAGE)


class Measured:
    """One database at one size: `figures` by the name of the row in the table."""

    def __init__(self, server: Server, world: World, size: int, calls: int) -> None:
        self.server, self.world, self.size, self.calls = server, world, size, calls
        self.chance = random.Random(size)
        self.figures: dict[str, float] = {}

    def run(self) -> None:
        for _ in range(10):
            self.list_page()  # warm
        self.figures["ListInputs, any page of 128, p99 ms"] = p99(milliseconds([self.list_page] * self.calls))
        for name, shows, one_in in (
            ("one in 10", (1, 0), CLASSES),
            ("one in 1,000", (0, 1), TAGS),
            ("both of two", (1, 1), TAGS),
        ):
            asked = [lambda shows=shows, one_in=one_in: self.search(shows, one_in)] * self.calls
            milliseconds(asked[:10])  # warm
            self.figures[f"search by concept ({name}), any page, p99 ms"] = p99(milliseconds(asked))
        self.freeze()
        self.post()
        for name in ("api", "worker"):
            self.figures[f"memory of the {name} process afterwards, MB"] = self.server.memory_mb(name)

    def list_page(self) -> None:
        page = self.chance.randint(1, pages(self.size))
        found = self.server.ask("ListInputs", service_pb2.ListInputsRequest(page=page, per_page=PAGE))
        assert len(found.inputs) == min(PAGE, self.size) and len(found.inputs[0].data.concepts) == 2

    def search(self, shows: tuple[int, int], one_in: int) -> None:
        """By the class, the tag or both of some input."""
        ids = concept_ids(self.chance.randrange(self.size))
        wanted = [resources_pb2.Concept(id=id, value=1) for id, asked in zip(ids, shows, strict=True) if asked]
        annotation = resources_pb2.Annotation(data=resources_pb2.Data(concepts=wanted))
        query = resources_pb2.Query(filters=[resources_pb2.Filter(annotation=annotation)])
        page = self.chance.randint(1, pages(self.size // one_in))
        request = service_pb2.PostInputsSearchesRequest(searches=[resources_pb2.Search(query=query)])
        request.pagination.page, request.pagination.per_page = page, PAGE
        assert self.server.ask("PostInputsSearches", request).hits

    def freeze(self) -> None:
        """A version of everything; the API is asked meanwhile, from the first poll to the last."""
        version = resources_pb2.DatasetVersion(id=f"v{self.size}")
        asked = [self.list_page, self.get_input, lambda: self.search((0, 1), TAGS), self.post_one]
        began, took = time.perf_counter(), []
        with peak_memory(self.server, "worker") as peak:
            request = service_pb2.PostDatasetVersionsRequest(dataset_id=DATASET, dataset_versions=[version])
            self.server.ask("PostDatasetVersions", request)
            while (code := self.status_of(version.id)) in (64005, 64010):
                took += milliseconds(asked)
                assert time.perf_counter() - began < FREEZE_LIMIT_SECONDS
        seconds = time.perf_counter() - began
        assert code == 64015, code
        self.figures["freezing all as a version, s"] = seconds
        self.figures["peak memory of the worker meanwhile, MB"] = peak[0]
        self.figures["calls to the API meanwhile, p99 ms"] = p99(sorted(took))
        request = service_pb2.DeleteDatasetVersionsRequest(dataset_id=DATASET, dataset_version_ids=[version.id])
        self.server.ask("DeleteDatasetVersions", request)

    def status_of(self, version: str) -> int:
        request = service_pb2.GetDatasetVersionRequest(dataset_id=DATASET, dataset_version_id=version)
        return int(self.server.ask("GetDatasetVersion", request).dataset_version.status.code)

    def get_input(self) -> None:
        id = filled(self.chance.randrange(self.size)).id
        self.server.ask("GetInput", service_pb2.GetInputRequest(input_id=id))

    def post_one(self) -> None:
        self.server.ask("PostInputs", service_pb2.PostInputsRequest(inputs=[self.new_input()]))

    def post(self) -> None:
        """5,000 more, one call after another, as one client does; then waits until they have been decoded."""
        batches = [[self.new_input() for _ in range(BATCH)] for _ in range(MORE // BATCH + 2)]
        requests = [service_pb2.PostInputsRequest(inputs=batch) for batch in batches]
        for request in requests[:2]:  # warm
            self.server.ask("PostInputs", request)
        began = time.perf_counter()
        for request in requests[2:]:
            self.server.ask("PostInputs", request)
        self.figures["PostInputs, 5,000 more, ms per input"] = (time.perf_counter() - began) * 1000 / MORE
        pending = 1
        while pending:
            time.sleep(0.2)
            answer = self.server.ask("GetInputCount", service_pb2.GetInputCountRequest())
            pending = answer.counts.to_process + answer.counts.processing
        self.figures["… until they are decoded, ms per input"] = (time.perf_counter() - began) * 1000 / MORE

    def new_input(self) -> resources_pb2.Input:
        pixels = self.chance.randbytes(8 * 8 * 3)
        file = BytesIO()
        Image.frombytes("RGB", (8, 8), pixels).save(file, "PNG")
        labels = [resources_pb2.Concept(id=id, value=1) for id in concept_ids(self.chance.randrange(CLASSES * TAGS))]
        data = resources_pb2.Data(image=resources_pb2.Image(base64=file.getvalue()), concepts=labels)
        return resources_pb2.Input(data=data)


# -- the same by the driver alone --------------------------------------------------------------------------------------


def bare(database: Database, world: World, size: int, folder: Path) -> dict[str, float]:
    """The least that each question needs, by the driver's own cursor: no server, no messages, no checks."""
    mark = "?" if database.local else "%s"
    chance = random.Random(size)
    raw = database.engine.raw_connection()
    cursor = raw.cursor()

    def timed(sql: str, times: int, values: Callable[[], tuple[object, ...]]) -> float:
        def once() -> None:
            cursor.execute(sql.replace("?", mark), values())
            cursor.fetchall()

        return p99(milliseconds([once] * times))

    columns = "seq, id, kind, blob, size, format, width, height, split, status, message, created_at, modified_at"
    listing = f"SELECT {columns} FROM inputs WHERE app = ? ORDER BY seq LIMIT {PAGE} OFFSET ?"  # noqa: S608
    searching = (
        "SELECT DISTINCT i.seq, i.id, i.blob FROM labels l JOIN inputs i ON i.seq = l.input "  # noqa: S608
        f"WHERE l.concept = ? AND l.value = 1 ORDER BY i.seq LIMIT {PAGE} OFFSET ?"
    )
    found = {
        "ListInputs, any page of 128, p99 ms": timed(
            listing, 50, lambda: (world.app, chance.randrange(pages(size)) * PAGE)
        ),
        "search by concept (one in 10), any page, p99 ms": timed(
            searching, 50, lambda: (world.concepts["class-3"], chance.randrange(pages(size // CLASSES)) * PAGE)
        ),
        "freezing all as a version, s": _bare_freeze(cursor, world, folder / "bare.jsonl", mark),
    }
    cursor.close()
    raw.rollback()
    raw.close()
    return found | {"PostInputs, 5,000 more, ms per input": _bare_rows(database, world)}


_EVERYTHING = """SELECT i.id, i.blob, i.width, i.height, c.id, l.value FROM dataset_inputs d
    JOIN inputs i ON i.seq = d.input JOIN labels l ON l.input = i.seq JOIN concepts c ON c.seq = l.concept
    WHERE d.dataset = ? ORDER BY d.seq"""


def _bare_freeze(cursor: Any, world: World, file: Path, mark: str) -> float:
    """One query, one line per row as it comes."""
    began = time.perf_counter()
    cursor.execute(_EVERYTHING.replace("?", mark), (world.dataset,))
    with file.open("w") as lines:
        while rows := cursor.fetchmany(1000):
            lines.writelines(json.dumps(row) + "\n" for row in map(tuple, rows))
    file.unlink()
    return time.perf_counter() - began


def _bare_rows(database: Database, world: World) -> float:
    """Rows alone, without files, in transactions of as many as a call has; taken back afterwards."""
    names = [f"bare-{number}" for number in range(MORE)]
    time_now, began = now(), time.perf_counter()
    for at in range(0, MORE, BATCH):
        rows = [
            vars(filled(-number - 1))
            | {"id": name, "app": world.app, "created_at": time_now, "modified_at": time_now, "details": ""}
            for number, name in enumerate(names[at : at + BATCH], at)
        ]
        with database.write() as connection:
            connection.execute(insert(tables.inputs), rows)
    per_input = (time.perf_counter() - began) * 1000 / MORE
    with database.write() as connection:
        connection.execute(tables.inputs.delete().where(tables.inputs.c.id.like("bare-%")))
    return per_input


# -- all of it ---------------------------------------------------------------------------------------------------------

Table = dict[tuple[str, int], dict[str, float]]


def measure(kind: str, sizes: Sequence[int], calls: int, scratch: Path) -> Iterator[tuple[int, dict[str, float]]]:
    folder = Path(tempfile.mkdtemp(prefix=f"scale-{kind}-", dir=scratch))
    try:
        with database_url(kind) as url, Server(folder, url) as server:
            world, have = prepare(server), 0
            for size in sizes:
                note(f"{kind}: filling to {size:,}")
                rate = fill(server, world, have, size)
                note(f"{kind}: {rate:,.0f} inputs/s; measuring at {size:,}")
                measured = Measured(server, world, size, calls)
                measured.run()
                figures = {**measured.figures, "the fill, inputs/s": rate}
                if size == sizes[-1]:
                    figures |= {
                        f"bare: {name}": value for name, value in bare(server.database, world, size, folder).items()
                    }
                    figures["size of the database, MB"] = size_mb(server.database)
                have = size
                yield size, figures
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database_url(kind: str) -> Iterator[str]:
    if kind == "sqlite":
        yield ""
        return
    with postgres.server(options="-c listen_addresses=''") as running, running.bare() as url:
        yield url


def size_mb(database: Database) -> float:
    if database.local:
        return Path(database.where).stat().st_size / 1e6
    with database.read() as connection:
        return float(connection.execute(select(func.pg_database_size(func.current_database()))).scalar_one()) / 1e6


def note(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def shown(kind: str, results: dict[int, dict[str, float]]) -> str:
    sizes, last = list(results), results[max(results)]
    names = [name for name in last if not name.startswith("bare: ")]
    lines = [
        f"| {kind} | " + " | ".join(f"{size:,}" for size in sizes) + f" | bare, at {max(sizes):,} |",
        "| --- |" + " ---: |" * (len(sizes) + 1),
    ]
    for name in names:
        cells = [number(results[size].get(name)) for size in sizes]
        lines.append(f"| {name} | " + " | ".join([*cells, number(last.get(f"bare: {name}"))]) + " |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--databases", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"])
    parser.add_argument("--calls", type=int, default=300, help="of each kind of list and search")
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir()), help="where the data lie meanwhile"
    )
    arguments = parser.parse_args()
    for kind in arguments.databases:
        results = dict(measure(kind, sorted(arguments.sizes), arguments.calls, arguments.scratch))
        sys.stdout.write(shown(kind, results) + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
