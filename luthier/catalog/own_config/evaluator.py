"""What a configuration in Python's syntax says, found by our own walk over its syntax tree; nothing is ever executed.

Next: `expressions`, the greater part; `merging`, then `child`, where this runs.
"""

import ast
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from luthier.catalog.own_config.expressions import BASE, Expressions, is_base
from luthier.catalog.own_config.limits import RefusedError, refused

PLACES = {  # harmless values for what the toolboxes put in for the file's own name
    **{"fileDirname": "/config", "fileBasename": "custom_config.py"},
    **{"fileBasenameNoExtension": "custom_config", "fileExtname": ".py"},
}
READ_BASE = (
    "read_base() is not available in restricted templates; name what you build upon in its place, as "
    "_base_ = '/mmdetection/configs/…', and give each type as a text, as type='AdamW'"
)
BRACES = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")


class Evaluated(NamedTuple):
    """The names that a text sets, those of them that nothing in it reads, and its `_base_`."""

    names: dict[str, Any]
    unread: list[str]
    bases: list[str]


def evaluate(text: str, lookup: Callable[[list[str]], Mapping[str, Any]]) -> Evaluated:
    """Raises RefusedError. `lookup` gives what the configurations of these names say together."""
    if "\0" in text:
        raise RefusedError(f"line {text[: text.index(chr(0))].count(chr(10)) + 1}: a NUL character; leave it out")
    try:
        tree = ast.parse(_filled_in(text.removeprefix("\ufeff")))
    except SyntaxError as error:
        raise RefusedError(f"line {error.lineno}, column {error.offset}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise RefusedError("it is nested too deeply, or holds a number of thousands of digits") from None
    walk = Evaluator()
    begin = [one for one in tree.body if isinstance(one, ast.Assign) and is_base(one.targets[0])][:1]
    bases = walk.base_names(begin[0]) if begin else []
    walk.base = dict(lookup(bases)) if begin else {}
    for statement in tree.body:
        if statement not in begin:
            walk.statement(statement)
    names = dict(walk.names)
    return Evaluated(names, sorted(names.keys() - walk.names_read), bases)


def _filled_in(text: str) -> str:
    """With `{{ fileDirname }}` and its kin, and `{{ _base_.x }}`, as expressions; refuses the environment."""
    for found in re.finditer(r"\{\{\s*['\"]?\s*\$", text):
        line = text[: found.start()].count("\n") + 1
        raise RefusedError(f"line {line}: variables of the environment are not available in restricted templates")
    return BRACES.sub(lambda found: _in_braces(found.group(1), found.group(0)), text)


def _in_braces(name: str, otherwise: str) -> str:
    return f"({name})" if name.startswith(BASE + ".") else PLACES.get(name, otherwise)


class Evaluator(Expressions):
    """The statements, one after the other; what they set is in `names`."""

    def statement(self, node: ast.stmt) -> None:
        try:
            self.visit(node)
        except RecursionError:
            raise RefusedError(f"line {node.lineno}: it is nested too deeply") from None

    def base_names(self, node: ast.Assign) -> list[str]:
        value = self.visit(node.value)
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names or not all(isinstance(one, str) for one in names):
            raise refused(node, "_base_ is not the name of a configuration, or a list of names")
        return list(names)

    def visit_Assign(self, node: ast.Assign) -> None:
        value = self.visit(node.value)
        for target in node.targets:
            self.assign(target, value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.visit(node.value))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        current = self.visit(node.target)
        value = self.visit(node.value)
        if isinstance(current, list) and isinstance(node.op, ast.Add):  # in place, as other names may mean the same
            current.extend(self.budget.items(node, value))
        else:
            self.assign(node.target, self.computed(node, node.op, current, value))

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.visit(target)  # refused where it is not set
                del self.names[target.id]
            elif isinstance(target, ast.Subscript):
                del self.visit(target.value)[self.visit(target.slice)]
            else:
                self.generic_visit(target)

    def visit_Expr(self, node: ast.Expr) -> None:
        self.visit(node.value)

    def visit_Pass(self, node: ast.Pass) -> None:
        pass

    def visit_If(self, node: ast.If) -> None:
        for statement in node.body if self.visit(node.test) else node.orelse:
            self.visit(statement)

    def visit_For(self, node: ast.For) -> None:
        for item in self.budget.items(node, self.visit(node.iter)):
            self.assign(node.target, item)
            for statement in node.body:
                self.visit(statement)
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        if [(one.name, one.asname) for one in node.names] != [("copy", None)]:
            self.generic_visit(node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "mmengine.config":
            raise refused(node, READ_BASE)
        self.generic_visit(node)
