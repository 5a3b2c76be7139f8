"""Every error that a caller can see. The docstring is the message; `code` and `http_status` are what the wire shows.

Raise the kind that fits and say in `details` which field, what was given, what is allowed and what to do about it.
"""

from typing import ClassVar


class LuthierError(Exception):
    """Internal error"""

    code: ClassVar[int] = 10020
    http_status: ClassVar[int] = 500

    def __init__(self, details: str = "") -> None:
        super().__init__(details)
        self.details = details

    @property
    def description(self) -> str:
        return (type(self).__doc__ or "").strip()

    def __str__(self) -> str:
        return f"{self.description}: {self.details}" if self.details else self.description


def shown(value: object, limit: int = 100) -> str:
    """A user's value as it may stand in a message: escaped, at most `limit` characters."""
    text = ascii(value) if not isinstance(value, str) else ascii(value)[1:-1]
    return text if len(text) <= limit else text[:limit] + "…"


# -- the call itself ---------------------------------------------------------------------------------------------------


class NotServed(LuthierError):
    """This call is not served by this version of Luthier"""

    code, http_status = 10040, 404


class TryAgain(LuthierError):
    """Please try again"""

    code, http_status = 10030, 503


class TokenExpired(LuthierError):
    """Token is expired or revoked"""

    code, http_status = 11001, 401


class Throttled(LuthierError):
    """Too many requests"""

    code, http_status = 11005, 429


class LimitExceeded(LuthierError):
    """Limit exceeded"""

    code, http_status = 11006, 429


class InsufficientScopes(LuthierError):
    """Token lacks a required scope"""

    code, http_status = 11007, 403


class InvalidKey(LuthierError):
    """Invalid or missing API key"""

    code, http_status = 11008, 401


class UnknownKey(LuthierError):
    """API key not found"""

    code, http_status = 11009, 401


class BadRequestFormat(LuthierError):
    """Malformed request"""

    code, http_status = 11100, 400


class DoesNotExist(LuthierError):
    """Resource does not exist"""

    code, http_status = 11101, 404


class InvalidRequest(LuthierError):
    """Invalid request"""

    code, http_status = 11102, 400


class MethodNotAllowed(LuthierError):
    """Method not allowed"""

    code, http_status = 11103, 405


class InvalidRange(LuthierError):
    """Value out of range"""

    code, http_status = 11105, 400


class BodyTooLarge(LuthierError):
    """Request body too large"""

    code, http_status = 40033, 413


class RequestTimeout(LuthierError):
    """Request took too long to arrive"""

    code, http_status = 40032, 408


class Misdirected(LuthierError):
    """Host is not served here"""

    code, http_status = 11102, 421


# -- concepts, inputs, annotations, datasets ---------------------------------------------------------------------------


class InvalidConcept(LuthierError):
    """Invalid concept"""

    code, http_status = 40003, 400


class InvalidAnnotation(LuthierError):
    """Invalid annotation"""

    code, http_status = 24155, 400


class DuplicateInput(LuthierError):
    """Input already exists"""

    code, http_status = 30100, 400


class UnsupportedFormat(LuthierError):
    """Input format is not supported"""

    code, http_status = 30101, 400


class InputDoesNotExist(LuthierError):
    """Input does not exist"""

    code, http_status = 30102, 404


class InvalidInput(LuthierError):
    """Invalid input"""

    code, http_status = 30104, 400


class InputOverLimit(LuthierError):
    """Input is over the size limit"""

    code, http_status = 30105, 400


class InvalidUrl(LuthierError):
    """Invalid URL"""

    code, http_status = 30106, 400


class InvalidBytes(LuthierError):
    """Input bytes cannot be read"""

    code, http_status = 30300, 400


class DownloadFailed(LuthierError):
    """Download failed"""

    code, http_status = 47101, 400


class NoAddress(LuthierError):
    """Host name cannot be resolved"""

    code, http_status = 47102, 400


class DownloadTooLarge(LuthierError):
    """Download is over the size limit"""

    code, http_status = 47103, 400


class ImageDecodeError(LuthierError):
    """Image cannot be decoded"""

    code, http_status = 47104, 400


class VideoDecodeError(LuthierError):
    """Video cannot be decoded"""

    code, http_status = 31420, 400


class SearchNotReady(LuthierError):
    """Not every picture has been indexed for searching yet, please retry"""

    code, http_status = 43004, 503


class DuplicateId(LuthierError):
    """Id already exists"""

    code, http_status = 40010, 400


class DatasetVersionConflict(LuthierError):
    """Dataset version cannot be used now"""

    code, http_status = 64030, 409


class JobConflict(LuthierError):
    """A running job is in the way"""

    code, http_status = 64007, 409


# -- uploads -----------------------------------------------------------------------------------------------------------


class ArchiveExtractFailed(LuthierError):
    """Archive cannot be unpacked"""

    code, http_status = 67000, 400


class UploadInProgress(LuthierError):
    """Upload is not complete"""

    code, http_status = 68000, 400


class UploadFailed(LuthierError):
    """Upload is damaged"""

    code, http_status = 68002, 400


class UploadExpired(LuthierError):
    """Upload has expired"""

    code, http_status = 68004, 400


class UploadConflict(LuthierError):
    """Upload part contradicts what was sent before"""

    code, http_status = 68006, 409


# -- models and training -----------------------------------------------------------------------------------------------


class ModelDoesNotExist(LuthierError):
    """Model does not exist"""

    code, http_status = 21200, 404


class InvalidModel(LuthierError):
    """Invalid model"""

    code, http_status = 21202, 400


class ModelUntrained(LuthierError):
    """Model is not trained yet"""

    code, http_status = 21102, 400


class ModelQueuedForTraining(LuthierError):
    """Model is queued for training"""

    code, http_status = 21103, 400


class ModelTraining(LuthierError):
    """Model is being trained"""

    code, http_status = 21101, 400


class TrainingFailed(LuthierError):
    """Model training failed"""

    code, http_status = 21106, 400


class NoTrainingData(LuthierError):
    """Model training had no data"""

    code, http_status = 21110, 400


class NoPositives(LuthierError):
    """Model training had no positive examples"""

    code, http_status = 21111, 400


class SingleClass(LuthierError):
    """Model training needs at least two concepts"""

    code, http_status = 21112, 400


class InsufficientData(LuthierError):
    """Model training had too few examples"""

    code, http_status = 21117, 400


class InvalidTrainingParams(LuthierError):
    """Invalid training parameters"""

    code, http_status = 21118, 400


class InvalidDataToleranceExceeded(LuthierError):
    """Too many invalid inputs"""

    code, http_status = 21119, 400


class PredictionFailed(LuthierError):
    """Model prediction failed"""

    code, http_status = 21313, 500


class ModelBusy(LuthierError):
    """Model is busy, please retry"""

    code, http_status = 21354, 503


class ModelLoading(LuthierError):
    """Model is loading, please retry"""

    code, http_status = 21355, 503


class InvalidPredictRequest(LuthierError):
    """Invalid predict request"""

    code, http_status = 40001, 400


# -- this machine ------------------------------------------------------------------------------------------------------


class InvalidSettings(LuthierError):
    """Invalid settings"""

    code, http_status = 10020, 500


class MissingWeights(InvalidTrainingParams):
    """Pre-trained weights are not here"""


class CorruptFile(LuthierError):
    """File is damaged"""

    code, http_status = 10020, 500


class DiskFull(LuthierError):
    """Not enough disk space"""

    code, http_status = 10030, 507
