"""The plan of the code, enforced: which room may import which, and what no file may contain."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "luthier"
FILES = sorted(path for path in PACKAGE.rglob("*.py") if not path.name.startswith("luthier_pb2"))

# room -> rooms it may import; every room may import itself
MAY_IMPORT = {
    "errors": set(),
    "settings": {"errors"},
    "wire": {"errors"},
    "runs": {"errors"},
    "catalog": {"errors"},
    "data": {"runs", "errors"},
    "engine": {"runs", "catalog", "data", "errors"},
    "store": {"settings", "errors"},
    "predictors": {"runs", "catalog", "errors", "settings"},
    "worker": {
        "store",
        "runs",
        "catalog",
        "data",
        "predictors.client",
        "wire.exported",
        "wire.imported",
        "errors",
        "settings",
    },
    "rpcs": {"store", "catalog", "predictors.client", "wire", "errors", "settings"},
    "api": {"rpcs", "store", "predictors.client", "wire", "errors", "settings"},
    "commands": {
        "api",
        "rpcs",
        "worker",
        "predictors",
        "store",
        "runs",
        "catalog",
        "data",
        "wire",
        "errors",
        "settings",
    },
    "__main__": {"commands", "errors", "settings"},
    "__init__": set(),
}

WEB = {"starlette", "uvicorn", "httptools"}
TORCH = {"torch", "torchvision", "timm", "transformers", "peft", "accelerate"}
SQL = {"sqlalchemy", "alembic", "sqlite3", "psycopg"}
NETWORK = {"requests", "httpx", "urllib3", "aiohttp", "grpc"}
WIRE = {"clarifai_grpc", "grpc"}

NEVER = {  # room -> third-party packages that it must not know
    "rpcs": WEB | TORCH | SQL,
    "worker": TORCH | WEB | WIRE,
    "predictors": TORCH | SQL | WEB | WIRE,
    "store": TORCH | WEB | WIRE,
    "engine": SQL | WEB | WIRE | NETWORK,
    "data": TORCH | SQL | WEB | WIRE | NETWORK,
    "api": TORCH | SQL,
    "settings": TORCH | SQL | WEB | WIRE | NETWORK,
    "errors": TORCH | SQL | WEB | WIRE | NETWORK,
}
STANDARD_LIBRARY_ONLY = {"runs", "catalog", "errors", "settings"}


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports_of(path: Path) -> Iterator[tuple[str, int]]:
    """Full names of the imported modules with their lines; type-checking imports count too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def allowed(room: str, name: str) -> bool:
    inside = name.removeprefix("luthier.")
    if inside.split(".")[0] in {room, "__version__"}:
        return True
    return any(inside == target or inside.startswith(target + ".") for target in MAY_IMPORT[room])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_the_planned_way(path: Path) -> None:
    room = room_of(path)
    for name, line in imports_of(path):
        top = name.split(".")[0]
        if top == "luthier":
            assert allowed(room, name), f"{path.name}:{line}: {room} must not import {name}"
            continue
        assert top not in NEVER.get(room, set()), f"{path.name}:{line}: {room} must not import {top}"
        if room in STANDARD_LIBRARY_ONLY:
            assert top in sys.stdlib_module_names, (
                f"{path.name}:{line}: {room} uses the standard library alone, not {top}"
            )


def test_every_room_is_in_the_plan() -> None:
    assert {room_of(path) for path in FILES} <= set(MAY_IMPORT)


def test_no_import_circles() -> None:
    modules = {
        ".".join(("luthier", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in FILES
    }
    arrows = {
        module: {target for name, _ in imports_of(path) for target in targets(name, modules)}
        for module, path in modules.items()
    }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in arrows[module] - {module}:
                visit(target, (*trail, module))
            done.add(module)

    for module in modules:
        visit(module, ())


def targets(name: str, modules: dict[str, Path]) -> Iterator[str]:
    """The module that an imported name stands for: the name itself, or the module that holds it."""
    if name in modules:
        yield name
    elif name.rpartition(".")[0] in modules:
        yield name.rpartition(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_are_short_described_and_well_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 500, "split it: no file is over 500 lines"
    assert path.stem not in {"utils", "util", "common", "helpers", "helper", "misc"}
    assert ast.get_docstring(ast.parse(text)), "open it with one to three lines: what it is, what to read next"


def test_functions_are_short() -> None:
    lengths = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lengths.append((node.end_lineno - node.lineno + 1, f"{path.name}:{node.lineno} {node.name}"))
    lengths.sort()
    assert lengths[len(lengths) // 2][0] < 12
    assert len([length for length in lengths if length[0] > 60]) <= len(lengths) // 200, lengths[-10:]


FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "pickle.load",
    "pickle.loads",
    "os.system",
    "yaml.load",
    "marshal.loads",
    "ssl._create_unverified_context",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_dangerous_is_called(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        where = f"{path.name}:{node.lineno}"
        assert name not in FORBIDDEN_CALLS, f"{where}: {name}"
        assert keywords.get("shell") != "True", f"{where}: shell=True"
        assert keywords.get("verify") != "False", f"{where}: verify=False"
        assert keywords.get("trust_remote_code") in (None, "False"), f"{where}: trust_remote_code"
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", f"{where}: torch.load without weights_only=True"
        if name == "Image.open":
            assert "formats" in keywords, f"{where}: Image.open without formats="
