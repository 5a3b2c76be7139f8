"""How much a configuration may ask of its reader: steps, lengths, sizes of numbers. Next: `evaluator`, which pays."""

import ast
from collections.abc import ItemsView, KeysView, ValuesView
from typing import Any

MOST_STEPS = 200_000  # nodes visited and items made, all in all
MOST_CHARACTERS = 1_000_000  # of one text
LARGEST_INTEGER = 2**63
LARGEST_EXPONENT = 64
DEEPEST = 100
ITERATORS = (zip, enumerate, ItemsView, KeysView, ValuesView)


class RefusedError(Exception):
    """What a text says that it may not. The message names the line, what was found and what is allowed."""


def refused(node: ast.AST, text: str) -> RefusedError:
    return RefusedError(f"line {getattr(node, 'lineno', 1)}: {text}")


def check_size(value: Any) -> None:
    """Raises RefusedError where `value` says too much to be written down: what is used twice counts twice."""
    items, characters, waiting = 1, 0, [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        if isinstance(one, dict):
            if odd := [key for key in one if not isinstance(key, str | int | float | None)]:
                raise RefusedError(f"a key of a dict is a {type(odd[0]).__name__}; give a text")
            one = [*one.keys(), *one.values()]
        if isinstance(one, list | tuple):
            items += len(one)
            waiting += [(inner, depth + 1) for inner in one]
        characters += len(one) if isinstance(one, str) else 0
        if items > MOST_STEPS or characters > MOST_CHARACTERS:
            raise RefusedError(f"all in all it says more than {MOST_STEPS} values or {MOST_CHARACTERS} characters")
        if depth > DEEPEST:
            raise RefusedError(f"it is nested too deeply: more than {DEEPEST} dicts or lists within each other")


class Budget:
    """Counts the steps of one reading. Every method raises RefusedError at the line of `node`."""

    def __init__(self) -> None:
        self.steps = 0

    def pay(self, node: ast.AST, steps: int) -> None:
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise refused(node, f"it takes more than {MOST_STEPS} steps; make it shorter")

    def paid(self, node: ast.AST, value: Any) -> Any:
        """`value`, of which a copy may be made: that takes a step for each item."""
        if isinstance(value, list | tuple | dict):
            self.pay(node, len(value))
        return value

    def room(self, node: ast.AST, kind: Any, length: int) -> None:
        """For a text, a list or a tuple of that length."""
        if not isinstance(kind, str):
            self.pay(node, length)
        elif length > MOST_CHARACTERS:
            raise refused(node, f"a text of {length} characters; at most {MOST_CHARACTERS} are allowed")

    def sized(self, node: ast.AST, value: Any) -> Any:
        """`value`, which is not too large to be kept."""
        if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise refused(node, "a whole number beyond 2**63 is not available in restricted templates")
        if isinstance(value, complex):
            raise refused(node, "a complex number is not available in restricted templates")
        if isinstance(value, str):
            self.room(node, value, len(value))
        return value

    def items(self, node: ast.AST, value: Any) -> list[Any]:
        """What a loop over `value` goes through."""
        if isinstance(value, range | list | tuple | dict | str):
            self.pay(node, len(value))
            return list(value)
        if isinstance(value, ITERATORS):
            return list(self.paid(node, list(value)))
        raise refused(node, f"a {type(value).__name__} has no items to go through")
