"""Inputs of a call by URL, with the bytes in their place: a worker fetches them while the call waits. Next: `outputs`.

The API process itself asks nothing of anybody; `worker/fetching` knows how not to be turned against this network.
"""

import time
from collections.abc import Sequence
from itertools import accumulate

from clarifai_grpc.grpc.api.resources_pb2 import Data, Image, Input, Text, Video

from luthier.errors import DownloadFailed, InputOverLimit, InvalidBytes, InvalidInput, InvalidUrl, LuthierError
from luthier.rpcs import codes
from luthier.rpcs.context import Context, attempt
from luthier.store import asked_urls, urls
from luthier.store.fetches import Fetched
from luthier.store.secrets import media_named_by
from luthier.store.urls import Url

WAIT_SECONDS = 30.0
VIDEO_WAIT_SECONDS = 60.0  # for a call with a video
MOST_BYTES = 128 * 1024 * 1024  # that the URLs of one call bring in all, as much as a call may send
_POLL_SECONDS = (0.03, 0.25)  # between looks: at first, and after a while


def with_bytes(ctx: Context, inputs: Sequence[Input]) -> list[Input | LuthierError]:
    """Each as it was where it holds no URL; else a copy that holds the content, or the error of its own."""
    wanted = attempt(inputs, lambda sent: _wanted(ctx, sent))
    elsewhere = [want for want in wanted if isinstance(want, tuple)]
    fetched = iter(_fetched(ctx, elsewhere) if elsewhere else ())
    found = [next(fetched) if isinstance(want, tuple) else want for want in wanted]
    totals = accumulate(_size(ctx, one) for one in found)
    return attempt(zip(inputs, found, totals, strict=True), lambda item: _filled(ctx, *item))


def shown_url(text: str) -> str:
    """For an answer; "" for what is no URL."""
    try:
        return urls.parse(text).masked
    except InvalidUrl:
        return ""


def _wanted(ctx: Context, sent: Input) -> tuple[str, Url] | str | None:
    """What is to be fetched; or the hash of what is here, for an address of ours; or None where no URL was sent."""
    kind = next((name for name in ("image", "text", "video") if getattr(sent.data, name).url), "")
    if not kind:
        return None
    text = getattr(sent.data, kind).url
    if sha := media_named_by(ctx.settings, text):
        return sha
    if sent.data.image.base64 or sent.data.text.raw or sent.data.video.base64:
        raise InvalidInput(f"data.{kind} holds a URL and the content; give one of them")
    url = urls.parse(text)
    urls.rules(ctx.settings).check(url)
    return kind, url


def _size(ctx: Context, found: str | LuthierError | None) -> int:
    if not isinstance(found, str):
        return 0
    path = ctx.blobs.path(found)
    return path.stat().st_size if path.exists() else 0


def _filled(ctx: Context, sent: Input, found: str | LuthierError | None, total: int) -> Input:
    """`total` bytes came with the items up to this one. Raises the item's error."""
    if found is None:
        return sent
    if isinstance(found, LuthierError):
        raise found
    if total > MOST_BYTES:
        raise InputOverLimit(f"the URLs of one call bring more than {MOST_BYTES // 2**20} MiB in all; send fewer")
    try:
        content = ctx.blobs.read(found)
        data = _data_of(sent.data, content)
    except FileNotFoundError as error:
        raise InvalidUrl("the file that this URL led to has been deleted; send the content itself") from error
    except UnicodeDecodeError as error:
        raise InvalidBytes("the file that this URL led to is no text in UTF-8") from error
    return Input(id=sent.id, data=data)


def _data_of(sent: Data, content: bytes) -> Data:
    if sent.HasField("image"):
        return Data(image=Image(base64=content))
    if sent.HasField("video"):
        return Data(video=Video(base64=content))
    return Data(text=Text(raw=content.decode()))


def _fetched(ctx: Context, wanted: Sequence[tuple[str, Url]]) -> list[str | LuthierError]:
    """Hashes of what came. Waits until all are there, or the time is over."""
    with ctx.database.write() as connection:
        seqs = asked_urls.ask(connection, ctx.caller.user_id, wanted)
    try:
        seconds = VIDEO_WAIT_SECONDS if any(kind == "video" for kind, _ in wanted) else WAIT_SECONDS
        answers = _awaited(ctx, seqs, seconds)
        return [_found(answers.get(seq), seconds) for seq in seqs]
    finally:
        with ctx.database.write() as connection:
            asked_urls.remove(connection, seqs)


def _awaited(ctx: Context, seqs: Sequence[int], seconds: float) -> dict[int, Fetched]:
    until, pause = time.monotonic() + seconds, _POLL_SECONDS[0]
    while True:
        with ctx.database.read() as connection:
            answers = asked_urls.answered(connection, seqs)
        if len(answers) == len(seqs) or time.monotonic() >= until:
            return answers
        time.sleep(pause)
        pause = min(pause * 1.2, _POLL_SECONDS[1])


def _found(answer: Fetched | None, seconds: float) -> str | LuthierError:
    if answer is None:
        return DownloadFailed(f"nothing came within {seconds:.0f} s; send the content itself, or try again")
    if answer.status in (codes.INPUT_GOOD, codes.INPUT_PENDING):
        return answer.blob
    kinds = {kind.code: kind for kind in LuthierError.__subclasses__()}
    return kinds.get(answer.status, DownloadFailed)(answer.details)
