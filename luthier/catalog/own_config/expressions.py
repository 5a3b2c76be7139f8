"""What an expression says, found by a walk over its syntax tree. Nothing of Python's own evaluation takes part.

What `Expressions` has no method for is refused by its line. Next: `evaluator`, which adds statements.
"""

import ast
from collections import ChainMap
from collections.abc import Iterator, MutableMapping, Sequence
from copy import deepcopy
from typing import Any

from luthier.catalog.own_config.allowed import (
    BINARY,
    CALLS,
    COMPARED,
    COPIES,
    METHODS,
    SYNTAX,
    TAKE_NAMED,
    UNARY,
    WORDS,
    text_of,
)
from luthier.catalog.own_config.limits import (
    ITERATORS,
    LARGEST_EXPONENT,
    LARGEST_INTEGER,
    Budget,
    RefusedError,
    refused,
)

BASE = "_base_"
CALLABLE = f"there are {', '.join(CALLS)}, copy.deepcopy, and methods of dict and list"
FAULTS = (TypeError, ValueError, KeyError, IndexError, ArithmeticError, AttributeError)


class Expressions(ast.NodeVisitor):
    """`visit` of an expression is its value: None, a bool, number, text, list, tuple or dict. Raises RefusedError."""

    def __init__(self) -> None:
        self.names: MutableMapping[str, Any] = {}
        self.names_read: set[str] = set()
        self.base: dict[str, Any] = {}
        self.budget = Budget()

    def visit(self, node: ast.AST) -> Any:
        self.budget.pay(node, 1)
        try:
            return super().visit(node)
        except FAULTS as fault:
            raise refused(node, f"{type(fault).__name__}, {fault}") from None

    def generic_visit(self, node: ast.AST) -> Any:
        raise self._unavailable(node, node)

    def _unavailable(self, node: ast.AST, what: ast.AST) -> RefusedError:
        kind = type(what).__name__
        return refused(node, f"{WORDS.get(kind, kind)} is not available in restricted templates; {SYNTAX}")

    def visit_Constant(self, node: ast.Constant) -> Any:
        if node.value is not None and not isinstance(node.value, str | int | float):
            raise refused(node, f"a {type(node.value).__name__} is not available in restricted templates; {SYNTAX}")
        return self.budget.sized(node, node.value)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> str:
        return str(self.budget.sized(node, "".join(self._part(part) for part in node.values)))

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        plain = isinstance(part, ast.FormattedValue) and part.conversion == -1 and part.format_spec is None
        if not plain or not isinstance(part, ast.FormattedValue) or not isinstance(part.value, ast.Name):
            raise refused(part, "an f-string may hold plain names only, as {name}")
        return text_of(self.visit(part.value))

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id not in self.names:
            hint = "; there is only _base_.name" if node.id == BASE else ""
            raise refused(node, f"the name {node.id} is not set in restricted templates{hint}")
        self.names_read.add(node.id)
        return self.names[node.id]

    def visit_List(self, node: ast.List) -> list[Any]:
        return self._all(node.elts)

    def visit_Tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._all(node.elts))

    def visit_Dict(self, node: ast.Dict) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:  # **value
                found.update(self._mapping(node, self.visit(value)))
            else:
                found[self.visit(key)] = self.visit(value)
        return found

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        return self.computed(node, node.op, self.visit(node.left), self.visit(node.right))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        if type(node.op) not in UNARY:
            raise self._unavailable(node, node.op)
        return UNARY[type(node.op)](self.visit(node.operand))

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        wanted = isinstance(node.op, ast.Or)
        value: Any = not wanted
        for part in node.values:
            value = self.visit(part)
            if bool(value) == wanted:
                break
        return value

    def visit_Compare(self, node: ast.Compare) -> bool:
        left = self.visit(node.left)
        for op, part in zip(node.ops, node.comparators, strict=True):
            right = self.visit(part)
            if not COMPARED[type(op)](left, right):
                return False
            left = right
        return True

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self.visit(node.body if self.visit(node.test) else node.orelse)

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        value = self.visit(node.value)
        found = value[self.visit(node.slice)]
        return found if isinstance(value, dict) else self.budget.paid(node, found)

    def visit_Slice(self, node: ast.Slice) -> slice:
        return slice(*(None if part is None else self.visit(part) for part in (node.lower, node.upper, node.step)))

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        """Of `_base_` alone."""
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if not is_base(inner):
            return self.generic_visit(node)
        value: Any = self.base
        for place, part in enumerate(parts):
            if not isinstance(value, dict) or part not in value:
                raise refused(node, f"_base_ has no {'.'.join(parts[: place + 1])}")
            value = value[part]
        return deepcopy(value)

    def visit_Call(self, node: ast.Call) -> Any:
        call, *owner = self._called(node)
        arguments = owner + self._all(node.args)
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            given = self.visit(keyword.value)
            named |= {keyword.arg: given} if keyword.arg else self._mapping(node, given)
        if named and call not in TAKE_NAMED:
            raise refused(node, "only dict() and .update() take named values in restricted templates")
        for argument in arguments:
            self.budget.paid(node, argument)
        found = call(*arguments, **named)
        listed = isinstance(found, (range, *ITERATORS))
        return self.budget.items(node, found) if listed else self.budget.sized(node, found)

    def _called(self, node: ast.Call) -> list[Any]:
        """What is called; of a method, its owner comes after it."""
        function = node.func
        if isinstance(function, ast.Name):
            if function.id not in CALLS:
                raise refused(node, f"{function.id}() is not available in restricted templates; {CALLABLE}")
            return [CALLS[function.id]]
        if not isinstance(function, ast.Attribute):
            raise refused(node, f"such a call is not available in restricted templates; {CALLABLE}")
        if isinstance(function.value, ast.Name) and function.value.id == "copy" and function.attr in COPIES:
            return [COPIES[function.attr]]
        owner = self.visit(function.value)
        method = METHODS.get(type(owner), {}).get(function.attr)
        if method is None:
            kind = type(owner).__name__
            raise refused(node, f".{function.attr}() of a {kind} is not available in restricted templates; {CALLABLE}")
        return [method, owner]

    def visit_ListComp(self, node: ast.ListComp) -> list[Any]:
        return [self.visit(node.elt) for _ in self._rounds(node, node.generators)]

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> list[Any]:
        return [self.visit(node.elt) for _ in self._rounds(node, node.generators)]

    def visit_DictComp(self, node: ast.DictComp) -> dict[Any, Any]:
        return {self.visit(node.key): self.visit(node.value) for _ in self._rounds(node, node.generators)}

    # -- parts --

    def _rounds(self, node: ast.expr, generators: Sequence[ast.comprehension]) -> Iterator[None]:
        """Once for each element of a comprehension, its names set to their values; they are its own."""
        outer = self.names
        self.names = ChainMap({}, outer)
        try:
            yield from self._nested(node, generators)
        finally:
            self.names = outer

    def _nested(self, node: ast.expr, generators: Sequence[ast.comprehension]) -> Iterator[None]:
        if not generators:
            yield
            return
        first, *others = generators
        for item in self.budget.items(node, self.visit(first.iter)):
            self.assign(first.target, item)
            if all(self.visit(test) for test in first.ifs):
                yield from self._nested(node, others)

    def assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            if target.id.startswith("__") or target.id == BASE:
                raise refused(target, f"the name {target.id} cannot be set in restricted templates")
            self.names[target.id] = value
        elif isinstance(target, ast.Tuple | ast.List):
            items = self.budget.items(target, value)
            if len(items) != len(target.elts):
                raise refused(target, f"{len(target.elts)} names are set to {len(items)} values; give as many")
            for part, item in zip(target.elts, items, strict=True):
                self.assign(part, item)
        elif isinstance(target, ast.Subscript):
            self.visit(target.value)[self.visit(target.slice)] = value
        else:
            self.generic_visit(target)

    def _all(self, nodes: Sequence[ast.expr]) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                found += self.budget.items(node, self.visit(node.value))
            else:
                found.append(self.visit(node))
        return found

    def computed(self, node: ast.AST, op: ast.operator, left: Any, right: Any) -> Any:
        if type(op) not in BINARY:
            raise self._unavailable(node, op)
        if isinstance(left, str) and isinstance(op, ast.Mod):
            raise refused(node, "% of a text is not available in restricted templates; take an f-string")
        for one, times in ((left, right), (right, left)):
            if isinstance(op, ast.Mult) and isinstance(one, str | list | tuple) and isinstance(times, int):
                self.budget.room(node, one, len(one) * max(0, times))
        if isinstance(op, ast.Pow) and (abs(right) > LARGEST_EXPONENT or abs(left) > LARGEST_INTEGER):
            raise refused(node, f"a power above {LARGEST_EXPONENT} is not available in restricted templates")
        return self.budget.sized(node, self.budget.paid(node, BINARY[type(op)](left, right)))

    def _mapping(self, node: ast.AST, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise refused(node, f"** needs a dict, and this is a {type(value).__name__}")
        return dict(self.budget.paid(node, value))


def is_base(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id == BASE
