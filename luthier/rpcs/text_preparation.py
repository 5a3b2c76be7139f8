"""How texts are to be prepared: stored with a dataset version, checked when it is made. Next: `training_request`."""

from collections.abc import Mapping
from typing import Any

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.struct_pb2 import Struct

from luthier.catalog.model_type import input_kind
from luthier.catalog.template import Template
from luthier.catalog.text_preparation import checked
from luthier.errors import InvalidRequest, InvalidTrainingParams
from luthier.rpcs.struct_values import plain
from luthier.rpcs.training_data import NamedData
from luthier.store import dataset_versions
from luthier.store.database import Connection

KEY = "text_preparation"  # in a dataset version's metadata, and in train_info.params where a training makes the version


def preparation_of(metadata: Struct) -> dict[str, Any]:
    """What a dataset version's metadata ask for, {} for nothing; raises InvalidRequest."""
    given = plain(metadata).get(KEY)
    if given is None:
        return {}
    try:
        return checked(given, f"metadata.{KEY}").to_json()
    except InvalidTrainingParams as error:
        raise InvalidRequest(error.details) from None


def of_training(
    connection: Connection, template: Template, params: Mapping[str, Any], data: NamedData
) -> dict[str, Any]:
    """That of the named dataset version, else of the params, which the version to be made then gets.

    Raises InvalidTrainingParams where the two differ, or the model does not learn labels of texts.
    """
    wished = checked(params[KEY], f"train_info.params.{KEY}").to_json() if params.get(KEY) is not None else {}
    found = wished
    if data.version is not None:
        row = dataset_versions.by_seq(connection, data.version.seq)
        found = preparation_of(resources_pb2.DatasetVersion.FromString(row.message).metadata) if row else {}
        if wished not in ({}, found):
            raise InvalidTrainingParams(
                f"train_info.params.{KEY} differs from that of dataset version {data.version.id}, which is {found}; "
                "leave it out, or make another version"
            )
    if found and (input_kind(template) != "text" or template.model_type == "text-to-text"):
        raise InvalidTrainingParams(f"{KEY} is for templates that tell texts apart; {template.id} does not")
    return found
