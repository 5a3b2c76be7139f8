"""Inputs of a call by URL, with the bytes in their place: a worker fetches them while the call waits. Next: `outputs`.

The API process itself asks nothing of anybody; `worker/fetching` knows how not to be turned against this network.
"""

import time
from collections.abc import Sequence

from clarifai_grpc.grpc.api.resources_pb2 import Input

from luthier.errors import DownloadFailed, InvalidUrl, LuthierError
from luthier.rpcs import codes
from luthier.rpcs.context import Context, attempt
from luthier.store import asked_urls, urls
from luthier.store.fetches import Fetched
from luthier.store.secrets import media_named_by
from luthier.store.urls import Url

WAIT_SECONDS = 30.0
_POLL_SECONDS = (0.03, 0.25)  # between looks: at first, and after a while


def with_bytes(ctx: Context, inputs: Sequence[Input]) -> list[Input | LuthierError]:
    """Each as it was where it holds no URL; else a copy that holds the content, or the error of its own."""
    wanted = attempt(inputs, lambda sent: _wanted(ctx, sent))
    elsewhere = [want for want in wanted if isinstance(want, tuple)]
    fetched = iter(_fetched(ctx, elsewhere) if elsewhere else ())
    contents = [next(fetched) if isinstance(want, tuple) else want for want in wanted]
    return [_filled(sent, content) for sent, content in zip(inputs, contents, strict=True)]


def shown_url(text: str) -> str:
    """For an answer; "" for what is no URL."""
    try:
        return urls.parse(text).masked
    except InvalidUrl:
        return ""


def _wanted(ctx: Context, sent: Input) -> tuple[str, Url] | bytes | None:
    """What is to be fetched, or the bytes where they are here, or None where no URL was sent."""
    kind = next((name for name in ("image", "text") if getattr(sent.data, name).url), "")
    if not kind:
        return None
    text = getattr(sent.data, kind).url
    if sha := media_named_by(ctx.settings, text):
        return _kept(ctx, sha)
    if sent.data.image.base64 or sent.data.text.raw:
        raise InvalidUrl(f"data.{kind} holds a URL and the content; give one of them")
    url = urls.parse(text)
    urls.rules(ctx.settings).check(url)
    return kind, url


def _kept(ctx: Context, sha: str) -> bytes:
    try:
        return ctx.blobs.read(sha)
    except FileNotFoundError as error:
        raise InvalidUrl("the file that this URL led to has been deleted; send the content itself") from error


def _filled(sent: Input, content: bytes | LuthierError | None) -> Input | LuthierError:
    if content is None or isinstance(content, LuthierError):
        return sent if content is None else content
    filled = Input(id=sent.id)
    if sent.data.HasField("image"):
        filled.data.image.base64 = content
    else:
        filled.data.text.raw = content.decode("utf-8", "replace")  # the worker has checked it
    return filled


def _fetched(ctx: Context, wanted: Sequence[tuple[str, Url]]) -> list[bytes | LuthierError]:
    """Waits until all are there, or the time is over."""
    with ctx.database.write() as connection:
        seqs = asked_urls.ask(connection, ctx.caller.user_id, wanted)
    try:
        answers = _awaited(ctx, seqs)
        return [_content(ctx, answers.get(seq)) for seq in seqs]
    finally:
        with ctx.database.write() as connection:
            asked_urls.remove(connection, seqs)


def _awaited(ctx: Context, seqs: Sequence[int]) -> dict[int, Fetched]:
    until, pause = time.monotonic() + WAIT_SECONDS, _POLL_SECONDS[0]
    while True:
        with ctx.database.read() as connection:
            answers = asked_urls.answered(connection, seqs)
        if len(answers) == len(seqs) or time.monotonic() >= until:
            return answers
        time.sleep(pause)
        pause = min(pause * 1.2, _POLL_SECONDS[1])


def _content(ctx: Context, answer: Fetched | None) -> bytes | LuthierError:
    if answer is None:
        return DownloadFailed(f"nothing came within {WAIT_SECONDS:.0f} s; send the content itself, or try again")
    if answer.status in (codes.INPUT_GOOD, codes.INPUT_PENDING):
        return ctx.blobs.read(answer.blob)
    kinds = {kind.code: kind for kind in LuthierError.__subclasses__()}
    return kinds.get(answer.status, DownloadFailed)(answer.details)
