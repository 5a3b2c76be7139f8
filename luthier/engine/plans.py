"""The plan in run.json as the dataclass that a recipe works with. Next: `catalog/plan`, which explains the fields."""

from dataclasses import fields
from typing import Any, TypeVar

from luthier.catalog.plan import Plan

AnyPlan = TypeVar("AnyPlan", bound=Plan)


def plan_of(kind: type[AnyPlan], raw: dict[str, Any]) -> AnyPlan:
    """Keys that this version does not know are left out, so that old runs stay readable; lists become tuples again."""
    known = {f.name for f in fields(kind)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items() if k in known}
    return kind(**values)
