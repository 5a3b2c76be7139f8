# mypy: ignore-errors
from google.api import annotations_pb2 as _annotations_pb2
from clarifai_grpc.grpc.api import resources_pb2 as _resources_pb2
from clarifai_grpc.grpc.api import service_pb2 as _service_pb2
from clarifai_grpc.grpc.api.status import status_pb2 as _status_pb2
from clarifai_grpc.grpc.auth.scope import scope_pb2 as _scope_pb2
from clarifai_grpc.grpc.auth.types import types_pb2 as _types_pb2
from clarifai_grpc.grpc.auth.util import extension_pb2 as _extension_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImportUploadRequest(_message.Message):
    __slots__ = ("user_app_id", "upload_id", "inputs_add_job_id", "input_id_conflict_resolution", "input_template", "columns", "keep_good")
    class ColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    USER_APP_ID_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_ADD_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    INPUT_ID_CONFLICT_RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    KEEP_GOOD_FIELD_NUMBER: _ClassVar[int]
    user_app_id: _resources_pb2.UserAppIDSet
    upload_id: str
    inputs_add_job_id: str
    input_id_conflict_resolution: _resources_pb2.InputIDConflictResolution
    input_template: _resources_pb2.Input
    columns: _containers.ScalarMap[str, str]
    keep_good: bool
    def __init__(self, user_app_id: _Optional[_Union[_resources_pb2.UserAppIDSet, _Mapping]] = ..., upload_id: _Optional[str] = ..., inputs_add_job_id: _Optional[str] = ..., input_id_conflict_resolution: _Optional[_Union[_resources_pb2.InputIDConflictResolution, str]] = ..., input_template: _Optional[_Union[_resources_pb2.Input, _Mapping]] = ..., columns: _Optional[_Mapping[str, str]] = ..., keep_good: _Optional[bool] = ...) -> None: ...

class ListImportItemsRequest(_message.Message):
    __slots__ = ("user_app_id", "inputs_add_job_id", "page", "per_page", "rejected_only")
    USER_APP_ID_FIELD_NUMBER: _ClassVar[int]
    INPUTS_ADD_JOB_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    PER_PAGE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_ONLY_FIELD_NUMBER: _ClassVar[int]
    user_app_id: _resources_pb2.UserAppIDSet
    inputs_add_job_id: str
    page: int
    per_page: int
    rejected_only: bool
    def __init__(self, user_app_id: _Optional[_Union[_resources_pb2.UserAppIDSet, _Mapping]] = ..., inputs_add_job_id: _Optional[str] = ..., page: _Optional[int] = ..., per_page: _Optional[int] = ..., rejected_only: _Optional[bool] = ...) -> None: ...

class MultiImportItemResponse(_message.Message):
    __slots__ = ("status", "items")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    status: _status_pb2.Status
    items: _containers.RepeatedCompositeFieldContainer[ImportItem]
    def __init__(self, status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ..., items: _Optional[_Iterable[_Union[ImportItem, _Mapping]]] = ...) -> None: ...

class ImportItem(_message.Message):
    __slots__ = ("number", "name", "input_id", "status")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INPUT_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    number: int
    name: str
    input_id: str
    status: _status_pb2.Status
    def __init__(self, number: _Optional[int] = ..., name: _Optional[str] = ..., input_id: _Optional[str] = ..., status: _Optional[_Union[_status_pb2.Status, _Mapping]] = ...) -> None: ...

class CancelModelVersionRequest(_message.Message):
    __slots__ = ("user_app_id", "model_id", "version_id")
    USER_APP_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_ID_FIELD_NUMBER: _ClassVar[int]
    user_app_id: _resources_pb2.UserAppIDSet
    model_id: str
    version_id: str
    def __init__(self, user_app_id: _Optional[_Union[_resources_pb2.UserAppIDSet, _Mapping]] = ..., model_id: _Optional[str] = ..., version_id: _Optional[str] = ...) -> None: ...
