"""What regions need before rows are written: files of masks on disk, spans held against their texts. Next: `regions`.

Both happen before the transaction that writes, so that nobody waits for a disk while it holds the database.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from clarifai_grpc.grpc.api import resources_pb2

from luthier.errors import LuthierError
from luthier.rpcs import masks, regions
from luthier.rpcs.context import Context, app_of, attempt
from luthier.store import inputs
from luthier.store.inputs import InputRow
from luthier.store.secrets import signed_media_url

MOST_MASK_BYTES = 64 * 1024 * 1024  # in one answer

Item = TypeVar("Item")
Part = Callable[[Item], regions.Sent]


def keep_masks(ctx: Context, user_app_id: resources_pb2.UserAppIDSet, sent: Iterable[regions.Sent]) -> None:
    """Writes the PNGs where the messages say that they are. Raises DiskFull, DoesNotExist for an app that is not."""
    pngs = [png for one in sent for png in one.pngs]
    if pngs:
        with ctx.database.read() as connection:
            app_of(ctx, connection, user_app_id)
        ctx.blobs.put_many(pngs)


def with_spans_checked(
    ctx: Context,
    user_app_id: resources_pb2.UserAppIDSet,
    items: Sequence[Item | LuthierError],
    input_id: Callable[[Item], str],
    part: Part[Item],
) -> list[Item | LuthierError]:
    """Each item, or what is wrong with its spans. One text is held at a time."""
    good = [item for item in items if not isinstance(item, LuthierError)]
    ids = {input_id(item) for item in good if _has_span(part(item))}
    if not ids:
        return list(items)
    with ctx.database.read() as connection:
        app = app_of(ctx, connection, user_app_id)
        rows = inputs.find_many(connection, app.seq, ids)

    def checked(item: Item | LuthierError) -> Item:
        if isinstance(item, LuthierError):
            raise item
        row = rows.get(input_id(item)) if _has_span(part(item)) else None
        if row is not None and row.kind == "text":  # what else is wrong with it is found in the transaction
            regions.check_spans(part(item).regions, _text(ctx, row))
        return item

    return attempt(items, checked)


def _has_span(sent: regions.Sent) -> bool:
    return any(region.region_info.HasField("span") for region in sent.regions)


def _text(ctx: Context, row: InputRow) -> str | None:
    return ctx.blobs.read(row.blob).decode() if row.blob else None


def show_masks(ctx: Context, found: Iterable[resources_pb2.Region], *, whole: bool) -> None:
    """Puts a mask's address into its region, and its bytes where it is shown whole: the SDK can list no bytes.

    The first masks of MOST_MASK_BYTES together have their bytes; of what is beyond, the address tells where they are.
    """
    room = MOST_MASK_BYTES if whole else 0

    def read(blob: str) -> bytes:
        nonlocal room
        room -= ctx.blobs.size(blob) if room > 0 else 0
        return ctx.blobs.read(blob) if room > 0 else b""

    def address(blob: str) -> str:
        prefix, suffix = signed_media_url(ctx.settings, blob)
        return f"{prefix}/orig/{suffix}"

    masks.show(found, read, address)
