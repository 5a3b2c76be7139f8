"""Which embedder a transfer learns from: the one that is named, else the app's own, else a pre-trained one.

The guides' calls name no template for these model types; which one it is follows from the embedder, or from the kind
of the app's inputs. Next: `training_request`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2

from luthier.catalog.model_type import templates_of
from luthier.catalog.template import Template
from luthier.errors import InvalidTrainingParams, shown
from luthier.rpcs import training_data
from luthier.rpcs.context import Context
from luthier.rpcs.model_lookup import model_of, version_of, version_or_newest
from luthier.store import models, training_requests
from luthier.store.database import Connection
from luthier.store.models import ModelRow
from luthier.store.versions import Status, Version

EMBEDDERS = "visual-embedder"  # the model type whose versions can be the base of a transfer


@dataclass(frozen=True)
class Transfer:
    """`params` have a template; `base` names the trained version whose vectors are learnt from, {} for none."""

    params: dict[str, Any]
    base: dict[str, str]


def is_transfer(model_type_id: str) -> bool:
    return any(template.embedder for template in templates_of(model_type_id))


def settled(
    ctx: Context,
    connection: Connection,
    model: ModelRow,
    sent: resources_pb2.ModelVersion,
    params: Mapping[str, Any],
) -> Transfer:
    """Raises InvalidTrainingParams for an embedder that is none, or not trained; ModelDoesNotExist."""
    before = _before(ctx, connection, model, sent.train_info)
    if before is not None:
        return _going_on(before, params)
    offered = templates_of(model.model_type)
    named = _named(sent, params)
    pretrained = next((one for one in offered if one.embedder and named in (one.id, one.embedder.weights)), None)
    if named and pretrained is not None:
        return Transfer({**params, "template": params.get("template") or pretrained.id, "base_embed_model": ""}, {})
    base: Version | None
    if named:
        base = _version(ctx, connection, model, sent.input_info.base_embed_model, named)
    else:
        base = _of_app(connection, model, sent, params)
    template = params.get("template") or _template(connection, model, sent, params, offered, base).id
    found = {"model_id": base.model_id, "version_id": base.id} if base else {}
    return Transfer({**params, "template": template, "base_embed_model": found.get("model_id", "")}, found)


def _named(sent: resources_pb2.ModelVersion, params: Mapping[str, Any]) -> str:
    """In params, or typed in input_info; "" for neither."""
    named = params.get("base_embed_model") or sent.input_info.params.fields["base_embed_model"].string_value
    if not isinstance(named, str):
        raise InvalidTrainingParams(f"train_info.params.base_embed_model is {shown(named)}; give a model's id as text")
    return named or sent.input_info.base_embed_model.id


def _version(ctx: Context, connection: Connection, model: ModelRow, typed: resources_pb2.Model, id: str) -> Version:
    where = resources_pb2.UserAppIDSet(user_id=typed.user_id or model.user_id, app_id=typed.app_id or model.app_id)
    other = model_of(ctx, connection, where, id)
    if other.model_type != EMBEDDERS:
        raise InvalidTrainingParams(
            f"base_embed_model names {shown(id)!r}, a {other.model_type}; name a trained {EMBEDDERS}, or leave it out"
        )
    wanted = typed.model_version.id
    version = version_of(connection, other, wanted) if wanted else models.newest_trained(connection, other.seq)
    if version is None or version.status != Status.TRAINED:
        raise InvalidTrainingParams(
            f"base_embed_model names {shown(id)!r}, which has no trained version{' of that id' if wanted else ''}; "
            "train it first, or leave it out"
        )
    return version


def _of_app(
    connection: Connection, model: ModelRow, sent: resources_pb2.ModelVersion, params: Mapping[str, Any]
) -> Version | None:
    """The newest visual-embedder that was trained in the app, where pictures are learnt from."""
    if _kind(connection, model, sent, params) != "image":
        return None
    return models.newest_trained_of_type(connection, model.app, EMBEDDERS)


def _template(
    connection: Connection,
    model: ModelRow,
    sent: resources_pb2.ModelVersion,
    params: Mapping[str, Any],
    offered: tuple[Template, ...],
    base: Version | None,
) -> Template:
    kind = "image" if base else _kind(connection, model, sent, params)
    return next(template for template in offered if template.embedder and template.embedder.reads == kind)


def _kind(connection: Connection, model: ModelRow, sent: resources_pb2.ModelVersion, params: Mapping[str, Any]) -> str:
    """What the named template reads, else that of which the dataset, or the app, has more: "image" or "text"."""
    named = next((one for one in templates_of(model.model_type) if one.id == params.get("template")), None)
    if named and named.embedder:
        return named.embedder.reads
    dataset = training_data.dataset_of(connection, model, sent.train_info, params).dataset
    counts = {kind: training_requests.input_count(connection, model.app, kind, dataset) for kind in ("image", "text")}
    return max(counts, key=lambda kind: counts[kind])


# -- learning on -------------------------------------------------------------------------------------------------------


def _before(
    ctx: Context, connection: Connection, model: ModelRow, train_info: resources_pb2.TrainInfo
) -> Version | None:
    """The transfer to go on from; what is wrong with it, the caller finds when it reads the same field."""
    wanted = train_info.resume_from_model
    if not train_info.HasField("resume_from_model") or not wanted.id:
        return None
    where = resources_pb2.UserAppIDSet(user_id=wanted.user_id or model.user_id, app_id=wanted.app_id or model.app_id)
    other = model_of(ctx, connection, where, wanted.id)
    version = version_or_newest(connection, other, wanted.model_version.id)
    return version if version and other.model_type == model.model_type and version.checkpoint else None


def _going_on(before: Version, params: Mapping[str, Any]) -> Transfer:
    """On the same embedder: a head knows only its vectors."""
    base: dict[str, str] = before.request.get("base") or {}
    id = base.get("model_id", "")
    if params.get("base_embed_model") not in (None, "", id):
        raise InvalidTrainingParams(
            f"train_info.params.base_embed_model is {shown(params['base_embed_model'])}, but the version in "
            f"train_info.resume_from_model was trained on the vectors of {id or 'a pre-trained model'}; leave one out"
        )
    return Transfer({**params, "template": params.get("template") or before.template, "base_embed_model": id}, base)
