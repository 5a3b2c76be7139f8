"""A DatasetVersion as it is shown, and the split that its metadata asks for. Next: `dataset_versions`."""

import math
from collections.abc import Sequence

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.struct_pb2 import Struct, Value

from luthier.errors import InvalidRequest, shown
from luthier.rpcs.context import status, timestamp
from luthier.rpcs.dataset_metrics import whole_metrics
from luthier.settings import Settings
from luthier.store.dataset_versions import DEFAULT_SPLIT, DatasetVersionRow
from luthier.store.exports import Export, Format, Status
from luthier.store.resources import AppRow
from luthier.store.secrets import signed_export_url

SPLITS = ("train", "val", "test")
TOLERANCE = 1e-6
_MOST_SEED = 2**31 - 1
_FORM = '{"train": 0.8, "val": 0.1, "test": 0.1, "seed": 0}'


def split_of(metadata: Struct) -> dict[str, float]:
    """`metadata.split` as {"train", "val", "test", "seed"}; the default without one. Raises InvalidRequest."""
    value = metadata.fields.get("split")
    if value is None:
        return dict(DEFAULT_SPLIT)
    if value.WhichOneof("kind") != "struct_value":
        raise InvalidRequest(f"metadata.split is {shown(str(value).strip())!r}; give an object like {_FORM}")
    given = {name: _number(name, field) for name, field in value.struct_value.fields.items()}
    ratios = {name: given.get(name, 0.0) for name in SPLITS}
    if abs(sum(ratios.values()) - 1) > TOLERANCE:
        raise InvalidRequest(
            f"metadata.split: train, val and test add up to {sum(ratios.values()):g}, not to 1; {_FORM}"
        )
    if ratios["train"] == 0:
        raise InvalidRequest("metadata.split.train is 0; without it there is nothing to train on")
    return ratios | {"seed": int(given.get("seed", 0))}


def _number(name: str, value: Value) -> float:
    number = float(value.number_value)
    if name not in (*SPLITS, "seed"):
        raise InvalidRequest(f"metadata.split has the key {shown(name)!r}; it takes train, val, test and seed")
    if value.WhichOneof("kind") != "number_value" or not math.isfinite(number):
        raise InvalidRequest(f"metadata.split.{name} is {shown(str(value).strip())!r}; give a number")
    if name == "seed" and not (number.is_integer() and 0 <= number <= _MOST_SEED):
        raise InvalidRequest(f"metadata.split.seed is {number:g}; give a whole number from 0 to {_MOST_SEED}")
    if name != "seed" and not 0 <= number <= 1:
        raise InvalidRequest(f"metadata.split.{name} is {number:g}; give a fraction from 0 to 1")
    return number


def shown_version(row: DatasetVersionRow, app: AppRow) -> resources_pb2.DatasetVersion:
    """`metrics` hold one entry, "/" for the whole version, once it is ready."""
    version = resources_pb2.DatasetVersion.FromString(row.message)
    version.id, version.app_id, version.user_id, version.dataset_id = row.id, app.id, app.user_id, row.dataset_id
    version.request_origin = row.origin
    version.visibility.gettable = version.visibility.gettable or resources_pb2.Visibility.Gettable.PRIVATE
    version.status.CopyFrom(status(row.status, details=row.details))
    version.created_at.CopyFrom(timestamp(row.created_at))
    version.modified_at.CopyFrom(timestamp(row.modified_at))
    if row.counts:
        version.metrics["/"].CopyFrom(whole_metrics(row.counts))
    return version


def shown_info(settings: Settings, made: Sequence[Export]) -> resources_pb2.DatasetVersionExportInfo:
    """What a version tells of its exports; a format that was not asked for is left out."""
    info = resources_pb2.DatasetVersionExportInfo()
    for export in made:
        getattr(info, Format(export.format).name.lower()).CopyFrom(shown_export(settings, export))
    return info


def shown_export(settings: Settings, export: Export) -> resources_pb2.DatasetVersionExport:
    """With the archive's address once it is there."""
    how = status(export.status, details=export.details)
    shown = resources_pb2.DatasetVersionExport(format=export.format, status=how, size=export.size)
    if export.status == Status.DONE:
        shown.url = signed_export_url(settings, export.id)
    return shown
