"""StreamInputs: every input of an app, page behind page, exactly once. Next: `inputs`."""

from clarifai_grpc.grpc.api import service_pb2

from luthier.errors import InvalidRange
from luthier.rpcs.context import MAX_PER_PAGE, Context, app_of
from luthier.rpcs.input_message import shown_inputs
from luthier.rpcs.inputs import find_input
from luthier.store import input_changes

DEFAULT_PER_PAGE = 20  # as the wire says for this call


def StreamInputs(ctx: Context, request: service_pb2.StreamInputsRequest) -> service_pb2.MultiInputResponse:
    """Those behind `last_id`, the id of the last input of the page before; unary, in spite of its name.

    Inputs that come or go meanwhile shift no page: none is given twice or left out. In order of creation an input
    that was deleted meanwhile cannot be `last_id` (InputDoesNotExist); by id it can.
    """
    per_page = request.per_page or DEFAULT_PER_PAGE
    if per_page > MAX_PER_PAGE:
        raise InvalidRange(f"per_page is {per_page}; give 1 to {MAX_PER_PAGE}, maximum {MAX_PER_PAGE}")
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, request.user_app_id)
        last: int | str | None = request.last_id or None
        if last is not None and not request.order_by_id:
            last = find_input(connection, app, request.last_id).seq
        rows = input_changes.page_behind(
            connection, app.seq, last, per_page, by_id=request.order_by_id, descending=request.descending
        )
        return service_pb2.MultiInputResponse(inputs=shown_inputs(ctx, connection, app, rows))
