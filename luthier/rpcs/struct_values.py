"""The wire's Struct as Python values. Next: `training_request` and `prediction_settings`, which read parameters so."""

from typing import Any

from google.protobuf.struct_pb2 import Struct, Value

LARGEST_EXACT_INTEGER = 2**53


def plain(params: Struct) -> dict[str, Any]:
    """Whole numbers become int; a Value with no kind, which some clients send by mistake, counts as missing."""
    return {key: _plain(value) for key, value in params.fields.items() if value.WhichOneof("kind")}


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return plain(value.struct_value)
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values if item.WhichOneof("kind")]
    if kind == "number_value":
        return _number(value.number_value)
    return None if kind == "null_value" else getattr(value, kind)


def _number(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) <= LARGEST_EXACT_INTEGER else number
