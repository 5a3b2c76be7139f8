"""Columns beyond content and labels: metadata and geopoints, URLs of pictures, and the portal's own names. Next: `csv`.

metadata    a JSON object; single quotes do as well, as the published SDK writes it
geopoints   longitude,latitude
input.id, input.data.image.url, input.data.text.raw, input.data.metadata, input.data.concepts[0].id and .value, …
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from luthier.data.readers.found import Extra
from luthier.data.readers.text_files import parse_json
from luthier.errors import InvalidRequest, shown

PORTAL = {
    "inputid": "input.id",
    "image": "input.data.image.url",
    "text": "input.data.text.raw",
    "metadata": "input.data.metadata",
}
_CONCEPT = re.compile(r"input\.data\.concepts\[(\d{1,4})\]\.id")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def with_portal_names(names: Mapping[str, str], header: Sequence[str]) -> dict[str, str]:
    """`names` (ours -> the file's), and those that the portal has for ours."""
    told = {ours: theirs for ours, theirs in PORTAL.items() if theirs in header and ours not in names}
    return {**names, **told}


def portal_labels(cells: Mapping[str, str]) -> dict[str, int]:
    """Of the columns input.data.concepts[n]; a value that is not given is 1. Names are checked by the caller."""
    labels: dict[str, int] = {}
    for column in cells:
        found = _CONCEPT.fullmatch(column)
        if found and cells[column].strip():
            value = cells.get(column.removesuffix("id") + "value", "").strip() or "1"
            if value not in ("0", "1", "0.0", "1.0"):
                raise InvalidRequest(f"the value of concept {shown(cells[column])} is {shown(value)}; give 1 or 0")
            labels[cells[column]] = int(float(value))
    return labels


def is_address(cell: str) -> bool:
    return _ADDRESS.match(cell.strip()) is not None


def extra_of(metadata: str, geopoints: str, url: str) -> Extra | None:
    """None where a row tells nothing of the kind; raises InvalidRequest."""
    if not (metadata.strip() or geopoints.strip() or url):
        return None
    return Extra(_metadata(metadata), _geopoint(geopoints), url)


def _metadata(cell: str) -> dict[str, Any]:
    if not cell.strip():
        return {}
    try:
        found = parse_json(cell, "its metadata")
    except InvalidRequest:
        found = parse_json(cell.replace("'", '"'), "its metadata")
    if not isinstance(found, dict):
        raise InvalidRequest(f"its metadata are {shown(json.dumps(found))}; give a JSON object")
    return found


def _geopoint(cell: str) -> tuple[float, float] | None:
    if not cell.strip():
        return None
    try:
        longitude, latitude = (float(part) for part in cell.split(","))
    except ValueError:
        longitude = latitude = math.nan
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        raise InvalidRequest(f"its geopoints are {shown(cell)}; give longitude,latitude: -180 to 180 and -90 to 90")
    return longitude, latitude
