"""The words that belong to the wire's status codes. Next: `context.status`, which puts them into an answer."""

from clarifai_grpc.grpc.api.status import status_code_pb2

from luthier import errors

SUCCESS = 10000
MIXED_STATUS = 10010

ANNOTATION_GOOD = 24150
INPUT_GOOD = 30000
INPUT_PENDING = 30001
INPUT_IN_PROGRESS = 30003
DATASET_VERSION_PENDING = 64005
DATASET_VERSION_IN_PROGRESS = 64010
DATASET_VERSION_READY = 64015
DATASET_INPUT_GOOD = 64100
DATASET_INPUT_DUPLICATE = 64101

_WORDS = {
    SUCCESS: "Ok",
    MIXED_STATUS: "Some items failed, see the status of each",
    21100: "Model is trained and ready",
    ANNOTATION_GOOD: "Annotation is good",
    INPUT_GOOD: "Download complete",
    INPUT_PENDING: "Download pending",
    30002: "Download failed",
    30003: "Download in progress",
    DATASET_VERSION_PENDING: "Dataset version is waiting to be made",
    DATASET_VERSION_IN_PROGRESS: "Dataset version is being made",
    DATASET_VERSION_READY: "Dataset version is ready",
    64020: "Dataset version failed",
    DATASET_INPUT_GOOD: "Input is in the dataset",
    DATASET_INPUT_DUPLICATE: "Input was in the dataset already",
    64000: "Job is queued",
    64001: "Job is running",
    64002: "Job is done",
}
_WORDS_OF_ERRORS = {
    kind.code: (kind.__doc__ or "").strip()
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.LuthierError) and kind.__base__ is errors.LuthierError
}
_WORDS_OF_ERRORS |= {errors.LuthierError.code: "Failure", errors.InvalidRequest.code: "Invalid request"}


def describe(code: int) -> str:
    """One line on a status code: ours where we use it, else its name in words."""
    return _WORDS.get(code) or _WORDS_OF_ERRORS.get(code) or _from_name(code)


def all_codes() -> list[int]:
    """Every code of the wire, in ascending order, zero left out."""
    return sorted({number for number in status_code_pb2.StatusCode.values() if number})


def known(code: int) -> bool:
    return code in status_code_pb2.StatusCode.values()


def _from_name(code: int) -> str:
    return str(status_code_pb2.StatusCode.Name(code)).replace("_", " ").capitalize() if known(code) else f"Code {code}"
