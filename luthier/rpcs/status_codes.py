"""The wire's status codes, for those who want to look one up. Next: `codes`."""

from clarifai_grpc.grpc.api import service_pb2

from luthier.errors import DoesNotExist, InvalidRequest, shown
from luthier.rpcs import codes
from luthier.rpcs.context import Context, status


def ListStatusCodes(ctx: Context, request: service_pb2.ListStatusCodesRequest) -> service_pb2.MultiStatusCodeResponse:
    return service_pb2.MultiStatusCodeResponse(statuses=[status(code) for code in codes.all_codes()])


def GetStatusCode(ctx: Context, request: service_pb2.GetStatusCodeRequest) -> service_pb2.SingleStatusCodeResponse:
    """The answer's own status is the one that was asked for."""
    text = request.status_code_id
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise InvalidRequest(f"status_code_id is {shown(text)!r}; give a number such as 10000")
    if not codes.known(int(text)):
        raise DoesNotExist(f"status code {text} does not exist")
    return service_pb2.SingleStatusCodeResponse(status=status(int(text)))
