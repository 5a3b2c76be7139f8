"""schemathesis over /openapi.json: `python -m tests.fuzz.rest [--examples 200] [--seed 1] [--only PostInputs,…]`.

Every call by its first route with all examples; its other routes, which lead to the same function, with few. A run is
good where schemathesis finds nothing, the server's log holds no failure and the server lives.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from tests.api.world import ANN, BOB, ENTRIES, SECOND, THEIRS
from tests.fuzz.messages import databases
from tests.fuzz.refill import refilled
from tests.fuzz.target import Target, target

CHECKS = (
    "not_a_server_error",
    "response_schema_conformance",
    "content_type_conformance",
    "use_after_free",
    "ignored_auth",
)
DEPTH = 3  # messages within messages in a request: they hold each other without end, and examples take long to make
ITEMS = 3  # in a list
PREFIX = "#/components/schemas/"

Json = dict[str, Any]


class Narrowed:
    """The document with requests that are small, and with ids that mostly name something of Bob's."""

    def __init__(self, document: Json) -> None:
        self.document = document
        self._schemas: Json = document["components"]["schemas"]
        self._made: Json = {}
        for operations in document["paths"].values():
            for operation in operations.values():
                self._narrow(operation)
        self._schemas.update(self._made)

    def first_routes(self) -> list[str]:
        return [each for each in self._ids() if "_" not in each]

    def other_routes(self) -> list[str]:
        return [each for each in self._ids() if "_" in each]

    def _ids(self) -> list[str]:
        paths = self.document["paths"].values()
        return [operation["operationId"] for operations in paths for operation in operations.values()]

    def _narrow(self, operation: Json) -> None:
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                parameter["schema"] = _known(parameter["name"], operation["summary"])
        body = operation.get("requestBody")
        if body:
            content = body["content"]["application/json"]
            content["schema"] = self._level(content["schema"]["$ref"].removeprefix(PREFIX), 0)

    def _level(self, name: str, level: int) -> Json:
        key = f"{name}.{level}"
        schema = self._schemas[name]
        if schema.get("type") != "object":
            return {"$ref": PREFIX + name}
        if key not in self._made:
            self._made[key] = {}  # taken, so that a message may hold itself
            fields = ((field, self._field(value, level)) for field, value in schema["properties"].items())
            self._made[key] = {**schema, "properties": {name: value for name, value in fields if value is not None}}
        return {"$ref": PREFIX + key}

    def _field(self, value: Json, level: int) -> Json | None:
        """None for what would go too deep."""
        if "$ref" in value:
            return self._level(value["$ref"].removeprefix(PREFIX), level + 1) if level < DEPTH else None
        if value.get("type") == "array":
            items = self._field(value["items"], level)
            return None if items is None else {**value, "items": items, "maxItems": ITEMS}
        return value


def _known(name: str, call: str) -> Json:
    """Of a parameter in the path: what is there, or any text."""
    if name in ("user_id", "app_id"):
        return {"enum": [BOB, "me", ANN] if name == "user_id" else [THEIRS, THEIRS, SECOND]}
    asked = ENTRIES[call].asks.get(name)
    any_text = {"type": "string", "minLength": 1}
    return {"anyOf": [{"enum": [asked]}, any_text]} if isinstance(asked, str) else any_text


def run(there: Target, folder: Path, examples: int, phases: str, seed: int, only: list[str]) -> bool:
    """Whether schemathesis found nothing."""
    with urllib.request.urlopen(f"{there.server.url}/openapi.json", timeout=60) as answer:
        narrowed = Narrowed(json.load(answer))
    file = folder / "openapi.json"
    file.write_text(json.dumps(narrowed.document))
    rounds = [(only or narrowed.first_routes(), examples, phases)]
    if not only:
        rounds.append((narrowed.other_routes(), max(1, examples // 20), "fuzzing"))
    with refilled(there.server.grpc, there.token):
        good = [_schemathesis(there, file, ids, number, phases, seed) for ids, number, phases in rounds]
    return all(good)


def _schemathesis(there: Target, file: Path, ids: list[str], examples: int, phases: str, seed: int) -> bool:
    program = Path(sys.executable).with_name("st")
    command = [program, "run", file, "--url", there.server.url, "--header", f"Authorization: Key {there.token}"]
    command += ["--checks", ",".join(CHECKS), "--phases", phases, "--max-examples", str(examples), "--seed", str(seed)]
    command += ["--suppress-health-check", "all", "--continue-on-failure", "--no-color", "--request-timeout", "60"]
    command += ["--warnings", "off"]
    for id in ids:
        command += ["--include-operation-id", id]
    return subprocess.run(command, cwd=file.parent, check=False).returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="of each call")
    parser.add_argument("--phases", default="coverage,fuzzing,stateful")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="names of calls, separated by commas")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    given = parser.parse_args()
    only = [name for name in given.only.split(",") if name]
    with tempfile.TemporaryDirectory() as name, databases(given.database) as url:
        folder = Path(name)
        with target(folder / "server", url) as there:
            good = run(there, folder, given.examples, given.phases, given.seed, only)
            faults = there.faults()
    for fault in faults[:50]:
        print(f"FAULT {fault}")
    print(f"{len(faults)} faults in the server's log")
    sys.exit(not good or bool(faults))


if __name__ == "__main__":
    main()
