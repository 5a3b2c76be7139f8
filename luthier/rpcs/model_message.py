"""Rows of models and versions as wire messages. Next: `models` and `model_versions`, which answer with them.

What a client set is in the stored message; status, times, counts, results and the log's address are laid over it here.
"""

from functools import lru_cache

from clarifai_grpc.grpc.api import resources_pb2
from clarifai_grpc.grpc.api.status import status_pb2
from google.protobuf.struct_pb2 import Struct

from luthier.rpcs.context import status, timestamp
from luthier.rpcs.prediction_settings import DEFAULTS
from luthier.settings import Settings
from luthier.store.models import ModelAndVersion, ModelRow
from luthier.store.secrets import signed_log_url
from luthier.store.versions import Status, Version

OWN_METADATA = "luthier"  # key in a version's metadata that only we write
PRIVATE = resources_pb2.Visibility.Gettable.PRIVATE
EVALUATED = 21300

_WORDS = {
    Status.UNTRAINED: "Model not yet trained.",
    Status.QUEUED: "Model is currently in queue for training.",
    Status.TRAINING: "Training stage in progress: 0/1 complete.",
    Status.TRAINED: "Model is trained and ready",
    Status.FAILED: "Model training failed.",
}
_LONG = ("skipped", "per_concept")  # results that lists leave out
_SUMMARY = {  # name in our metrics -> field of the wire's MetricsSummary
    "accuracy": "top1_accuracy",
    "top5_accuracy": "top5_accuracy",
    "macro_roc_auc": "macro_avg_roc_auc",
    "macro_f1": "macro_avg_f1_score",
    "macro_precision": "macro_avg_precision",
    "macro_recall": "macro_avg_recall",
    "map50": "mean_avg_precision_iou_50",
    "map": "mean_avg_precision_iou_range",
}


def version_status(version: Version) -> status_pb2.Status:
    """With progress while it trains."""
    shown = status(version.status, _WORDS.get(Status(version.status), ""), version.details)
    if version.status == Status.TRAINING:
        shown.percent_completed, shown.time_remaining = max(0, version.percent), max(0, version.seconds_left)
    elif version.status == Status.TRAINED:
        shown.percent_completed = 100
    return shown


def version_message(version: Version, settings: Settings, *, whole: bool = True) -> resources_pb2.ModelVersion:
    """Unless `whole`, without what may be long: concepts, figures per concept, skipped inputs. Lists show it so."""
    message = resources_pb2.ModelVersion.FromString(version.message)
    message.id, message.app_id, message.user_id = version.id, version.app_id, version.user_id
    message.status.CopyFrom(version_status(version))
    message.active_concept_count = len(version.request.get("concepts", ()))
    message.total_input_count = version.input_count
    message.visibility.gettable = message.visibility.gettable or PRIVATE
    message.created_at.CopyFrom(timestamp(version.created_at))
    message.modified_at.CopyFrom(timestamp(version.modified_at))
    if version.completed_at is not None:
        message.completed_at.CopyFrom(timestamp(version.completed_at))
    if version.template:
        message.train_log = signed_log_url(settings, version.id)
    if whole:
        message.output_info.data.concepts.extend(version_concepts(version))
    _add_results(message, version, whole)
    return message


def version_concepts(version: Version) -> list[resources_pb2.Concept]:
    """The concepts that the version learned, with the names that they had then, in the order of its values."""
    return [
        resources_pb2.Concept(id=one["id"], name=one["name"], app_id=version.app_id, user_id=version.user_id, value=1.0)
        for one in version.request.get("concepts", ())
    ]


def model_message(
    row: ModelRow, version: Version | None, settings: Settings, *, whole: bool = True
) -> resources_pb2.Model:
    model = resources_pb2.Model.FromString(row.message)
    model.id, model.app_id, model.user_id, model.model_type_id = row.id, row.app_id, row.user_id, row.model_type
    model.name = model.name or row.id
    model.visibility.gettable = model.visibility.gettable or PRIVATE
    model.created_at.CopyFrom(timestamp(row.created_at))
    model.modified_at.CopyFrom(timestamp(row.modified_at))
    model.output_info.message = "Show output_info with: GET /models/{model_id}/output_info"
    model.output_info.params.update(DEFAULTS)
    if version is not None:
        model.model_version.CopyFrom(version_message(version, settings, whole=whole))
        model.output_info.params.MergeFrom(model.model_version.output_info.params)
        model.output_info.output_config.CopyFrom(model.model_version.output_info.output_config)
    return model


@lru_cache(maxsize=64)
def stored_message(stored: ModelAndVersion, settings: Settings) -> resources_pb2.Model:
    """The same from stored rows, built once for each state of them. Copy it; never change it."""
    return model_message(stored.model, stored.version, settings)


def brief_model(row: ModelRow, version: Version) -> resources_pb2.Model:
    """What stands beside each prediction: which model and version made it."""
    return resources_pb2.Model(
        id=row.id,
        name=resources_pb2.Model.FromString(row.message).name or row.id,
        app_id=row.app_id,
        user_id=row.user_id,
        model_type_id=row.model_type,
        created_at=timestamp(row.created_at),
        model_version=resources_pb2.ModelVersion(
            id=version.id,
            app_id=version.app_id,
            user_id=version.user_id,
            created_at=timestamp(version.created_at),
            status=version_status(version),
        ),
    )


def _add_results(message: resources_pb2.ModelVersion, version: Version, whole: bool) -> None:
    if not version.template:
        return
    names = ("template", "hyperparameters", "seed", "estimated_seconds")
    asked = {name: version.request[name] for name in names if name in version.request}
    results = {name: value for name, value in version.results.items() if whole or name not in _LONG}
    message.metadata.update({OWN_METADATA: {**asked, **results}})
    metrics = version.results.get("metrics") or {}
    if version.status == Status.TRAINED and metrics:
        message.metrics.status.CopyFrom(status(EVALUATED, "Model was successfully evaluated."))
        for name, field in _SUMMARY.items():
            if isinstance(metrics.get(name), int | float):
                setattr(message.metrics.summary, field, metrics[name])


def without_own(metadata: Struct) -> None:
    """Takes our own key out of metadata that a client sent: it is read-only."""
    metadata.fields.pop(OWN_METADATA, None)
