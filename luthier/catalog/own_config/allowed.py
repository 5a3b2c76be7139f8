"""The operators, calls and methods that a configuration may use: a table each. Next: `evaluator`."""

import ast
import operator
from collections.abc import Callable
from copy import deepcopy
from typing import Any

WORDS = {  # of the syntax that is refused, where Python's own name for it is not the one that users write
    **{"Import": "import", "ImportFrom": "import", "Lambda": "lambda", "FunctionDef": "def", "ClassDef": "class"},
    **{"AsyncFunctionDef": "async", "While": "while", "Try": "try", "With": "with", "NamedExpr": ":=", "Set": "a set"},
    **{"Global": "global", "Assert": "assert", "Raise": "raise", "Attribute": "attribute access", "SetComp": "a set"},
    **{"Yield": "yield", "Await": "await", "Starred": "*", "Break": "break", "Continue": "continue", "Match": "match"},
}
SYNTAX = "there are assignments, literals, dict(), list(), names, arithmetic, subscripts, if, for and comprehensions"
MOST_DIGITS = 100

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    **{ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv},
    **{ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: operator.pow},
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    **{ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_},
}
COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    **{ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Is: operator.is_, ast.IsNot: operator.is_not},
    **{ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge},
    **{ast.In: lambda item, among: item in among, ast.NotIn: lambda item, among: item not in among},
}


def text_of(value: Any = "") -> str:
    if isinstance(value, dict | list | tuple):
        raise TypeError(f"a {type(value).__name__} cannot be made a text here")
    return str(value)


def whole_of(value: Any = 0, *base: int) -> int:
    if isinstance(value, str) and len(value) > MOST_DIGITS:
        raise ValueError(f"a text of {len(value)} characters is no whole number; at most {MOST_DIGITS} are allowed")
    return int(value, *base)


def rounded(number: Any, digits: int | None = None) -> Any:
    return round(number, digits if digits is None else max(-20, min(20, digits)))


CALLS: dict[str, Callable[..., Any]] = {
    **{"dict": dict, "list": list, "tuple": tuple, "len": len, "min": min, "max": max, "int": whole_of, "float": float},
    **{"range": range, "zip": zip, "enumerate": enumerate, "round": rounded, "str": text_of},
}
METHODS: dict[type, dict[str, Callable[..., Any]]] = {
    dict: {name: getattr(dict, name) for name in ("copy", "update", "pop", "items", "keys", "values")},
    list: {name: getattr(list, name) for name in ("copy", "append", "extend", "pop")},
}
COPIES: dict[str, Callable[[Any], Any]] = {  # of the module copy
    "copy": lambda value: value.copy() if isinstance(value, dict | list) else value,
    "deepcopy": deepcopy,
}
TAKE_NAMED = (dict, METHODS[dict]["update"])
