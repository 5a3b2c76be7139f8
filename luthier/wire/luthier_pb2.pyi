# mypy: ignore-errors
from google.api import annotations_pb2 as _annotations_pb2
from clarifai_grpc.grpc.api import resources_pb2 as _resources_pb2
from clarifai_grpc.grpc.api import service_pb2 as _service_pb2
from clarifai_grpc.grpc.auth.scope import scope_pb2 as _scope_pb2
from clarifai_grpc.grpc.auth.types import types_pb2 as _types_pb2
from clarifai_grpc.grpc.auth.util import extension_pb2 as _extension_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CancelModelVersionRequest(_message.Message):
    __slots__ = ("user_app_id", "model_id", "version_id")
    USER_APP_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    user_app_id: _resources_pb2.UserAppIDSet
    model_id: str
    version_id: str
    def __init__(self, user_app_id: _Optional[_Union[_resources_pb2.UserAppIDSet, _Mapping]] = ..., model_id: _Optional[str] = ..., version_id: _Optional[str] = ...) -> None: ...
