"""How a configuration and those that it builds upon become one, by MMEngine's rules. Next: `evaluator`."""

from collections.abc import Mapping
from typing import Any

from luthier.catalog.own_config.limits import RefusedError

DELETE = "_delete_"

Config = Mapping[str, Any]


def merged(over: Config, under: Config, path: str = "") -> dict[str, Any]:
    """`under` with what `over` says: dicts are merged key by key, all else takes the place of what was there.

    A dict with `_delete_=True` takes the place too. Raises RefusedError where a dict meets something else.
    """
    found = dict(under)
    for key, value in over.items():
        below = found.get(key)
        if not isinstance(value, dict):
            found[key] = value
        elif key not in found or value.get(DELETE):
            found[key] = {name: item for name, item in value.items() if name != DELETE}
        elif isinstance(below, dict):
            found[key] = merged({name: item for name, item in value.items() if name != DELETE}, below, f"{path}{key}.")
        else:
            kind = type(below).__name__
            raise RefusedError(
                f"{path}{key} is a dict, and a {kind} in _base_; add _delete_=True to put it in its place"
            )
    return found


def joined(configs: Mapping[str, Config]) -> dict[str, Any]:
    """Several bases, by name, as one; raises RefusedError where two say something of the same key."""
    found: dict[str, Any] = {}
    said_by: dict[str, str] = {}
    for name, config in configs.items():
        if twice := sorted(found.keys() & config.keys()):
            raise RefusedError(f"_base_: {', '.join(twice)} stand both in {said_by[twice[0]]} and in {name}; take one")
        found |= config
        said_by |= dict.fromkeys(config, name)
    return found
