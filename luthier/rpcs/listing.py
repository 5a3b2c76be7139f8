"""The filters and sort flags that lists of named resources share. Next: `apps`, `datasets`."""

from typing import Any

from luthier.errors import InvalidRequest
from luthier.rpcs.ids import MAX_LENGTH
from luthier.store.resources import Order, Wanted

_ORDERS: dict[str, Order] = {
    "sort_by_id": "id",
    "sort_by_created_at": "created_at",
    "sort_by_modified_at": "modified_at",
}


def wanted_of(request: Any) -> Wanted:
    """`id` (with `*`), `search`, one sort flag, `sort_ascending`; InvalidRequest for what is not served.

    Without a sort flag a list is in order of creation, so that inserts never shift a page.
    """
    flags = [field.name for field, value in request.ListFields() if value is True and field.name != "sort_ascending"]
    strange = [name for name in flags if name not in _ORDERS]
    if strange:
        raise InvalidRequest(f"{strange[0]} is not served; lists can be sorted by {', '.join(_ORDERS)}")
    for name in ("name", "query"):
        if getattr(request, name, ""):
            raise InvalidRequest(f"the filter {name} is not served; use search, which looks in ids")
    for field in ("id", "search"):
        check_pattern(getattr(request, field), field)
    order: Order = _ORDERS[flags[0]] if flags else "seq"
    return Wanted(request.id, request.search, order, descending=bool(flags) and not request.sort_ascending)


def check_pattern(pattern: str, field: str) -> str:
    """What is longer than any id finds none, and looking for very long texts is slow; raises InvalidRequest."""
    if len(pattern) > MAX_LENGTH:
        raise InvalidRequest(f"{field} has {len(pattern)} characters; give at most {MAX_LENGTH}, no id has more")
    return pattern
