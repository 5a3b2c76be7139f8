"""Ranking an app's pictures by how like they are to one: what `searches.query.ranks` asks for. Next: `store/nearest`.

The vectors are those of the newest trained visual-embedder of the app. A worker makes the ones that are missing while
the call waits; no transaction is open meanwhile.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from clarifai_grpc.grpc.api import resources_pb2
from google.protobuf.message import Message

from luthier.errors import (
    InputDoesNotExist,
    InvalidRequest,
    LuthierError,
    PredictionFailed,
    SearchNotReady,
    UnsupportedFormat,
    shown,
)
from luthier.rpcs import media
from luthier.rpcs.context import Context
from luthier.rpcs.fetched import with_bytes
from luthier.store import inputs, jobs, models, nearest, vectors
from luthier.store.database import Connection
from luthier.store.jobs import State
from luthier.store.nearest import Found, Metric, Query
from luthier.store.resources import AppRow
from luthier.store.versions import Version

EMBEDDER = "visual-embedder"
MOST_RANKS = 8
WAIT_SECONDS = 20.0  # for the model to be loaded, and again for the vectors that are missing
_POLL_SECONDS = 0.1
_METRICS: dict[int, Metric] = {0: "euclidean", 1: "euclidean", 2: "cosine"}
_ALGORITHMS = ("", "nearest_neighbor", "brute_force")


def is_asked(search: resources_pb2.Search) -> bool:
    """Whether a search ranks; the SDK sends ranks that hold nothing."""
    return any(_asks(rank) for rank in search.query.ranks)


@dataclass(frozen=True)
class Ranking:
    """What a search wants, ready to be answered. `version` is the embedder's."""

    version: Version
    queries: tuple[Query, ...]
    metric: Metric
    least: float  # score
    exact: bool  # however many there are

    def first(
        self, ctx: Context, connection: Connection, count: int, among: Sequence[int] | None = None
    ) -> list[Found]:
        """The `count` best, out of all pictures of the app or out of the inputs `among`."""
        here = nearest.nearest_of(ctx.database)
        held = here.vectors(connection, self.version.seq)
        plain = among is None and len(self.queries) == 1 and not self.least
        if plain and not self.exact and nearest.has_index(held):
            return here.approximately(self.version.seq, held, self.queries[0], self.metric, count)
        return nearest.ranked(held, self.queries, self.metric, among=among, least=self.least, count=count)

    def scores(self, ctx: Context, connection: Connection, among: Sequence[int] | None = None) -> dict[int, float]:
        """Of every picture, or of those among these inputs, by the seq of its input, best first."""
        held = nearest.nearest_of(ctx.database).vectors(connection, self.version.seq)
        found = nearest.ranked(held, self.queries, self.metric, among=among, least=self.least)
        return {one.input: one.score for one in found}


def prepared(ctx: Context, app: AppRow, search: resources_pb2.Search) -> Ranking:
    """Asks the embedder about what is looked for and waits until every picture of the app has its vector.

    Raises InvalidRequest for what is not served, SearchNotReady where the worker needs longer, and for a picture that
    is looked for what a prediction of it raises.
    """
    if search.algorithm not in _ALGORITHMS:
        raise InvalidRequest(
            f"searches.algorithm is {shown(search.algorithm)!r}; give nearest_neighbor or brute_force, or leave it out"
        )
    if search.metric not in _METRICS:
        raise InvalidRequest(
            f"searches.metric is {search.metric}; give 1 (EUCLIDEAN_DISTANCE) or 2 (COSINE_DISTANCE), or leave it out"
        )
    if not 0 <= search.min_value <= 1:
        raise InvalidRequest(f"searches.min_value is {search.min_value}; give a score from 0 to 1")
    ranks = [rank for rank in search.query.ranks if _asks(rank)]
    if len(ranks) > MOST_RANKS:
        raise InvalidRequest(f"searches.query.ranks holds {len(ranks)}; at most {MOST_RANKS}")
    for rank in ranks:
        _refuse_others(rank)
    version = _embedder(ctx, app)
    asked = _of_pictures(ctx, version, ranks)
    _await_vectors(ctx, app, version)
    queries = tuple(
        Query(_vector(ctx, app, version, rank, asked.get(at)), rank.negate) for at, rank in enumerate(ranks)
    )
    return Ranking(version, queries, _METRICS[search.metric], search.min_value, search.algorithm == "brute_force")


def _asks(rank: resources_pb2.Rank) -> bool:
    return bool(rank.annotation.ListFields() or rank.negate)


def _embedder(ctx: Context, app: AppRow) -> Version:
    with ctx.database.read() as connection:
        version = models.newest_trained_of_type(connection, app.seq, EMBEDDER)
    if version is None:
        raise InvalidRequest(
            f"searches.query.ranks: app {shown(app.id)!r} has no trained {EMBEDDER}, whose vectors tell how like "
            "pictures are; train one in this app, or send filters alone"
        )
    return version


def _refuse_others(rank: resources_pb2.Rank) -> None:
    """One of what a rank can name must be there, and nothing else."""
    rest, data = resources_pb2.Rank(), rank.annotation.data
    rest.CopyFrom(rank)
    rest.ClearField("negate")
    rest.annotation.ClearField("input_id")
    for field in ("image", "embeddings"):
        rest.annotation.data.ClearField(field)
    named = [data.HasField("image"), bool(data.embeddings), bool(rank.annotation.input_id)]
    if not _is_empty(rest) or sum(named) != 1:
        raise InvalidRequest(
            "searches.query.ranks: give in each annotation data.image (base64 or url), input_id, or one of "
            f"data.embeddings; by concepts and texts inputs are filtered, not ranked; this one is "
            f"{shown(str(rank).strip(), 200)}"
        )


def _is_empty(message: Message) -> bool:
    return all(isinstance(value, Message) and _is_empty(value) for _, value in message.ListFields())


def _of_pictures(ctx: Context, version: Version, ranks: Sequence[resources_pb2.Rank]) -> dict[int, list[float]]:
    """The vectors of the pictures that ranks bring with them, by the rank's place."""
    places = [at for at, rank in enumerate(ranks) if rank.annotation.data.HasField("image")]
    sent = [resources_pb2.Input(data={"image": ranks[at].annotation.data.image}) for at in places]
    files = [_file(ctx, one) for one in with_bytes(ctx, sent)]
    if not files:
        return {}
    folder = ctx.settings.runs_folder / version.run_folder
    answers = ctx.predictors.predict(folder, version.checkpoint, "image", files, WAIT_SECONDS)
    for answer in answers:
        if "error" in answer:
            raise _error(int(answer["error"]), str(answer.get("details", "")))
    return {at: answer["embedding"] for at, answer in zip(places, answers, strict=True)}


def _file(ctx: Context, sent: resources_pb2.Input | LuthierError) -> bytes:
    if isinstance(sent, LuthierError):
        raise sent
    data: bytes = sent.data.image.base64
    media.read_image(data, ctx.settings.max_input_mb)
    return data


def _error(code: int, details: str) -> LuthierError:
    for kind in LuthierError.__subclasses__():
        if kind.code == code:
            return kind(details)
    return PredictionFailed(details)


def _vector(
    ctx: Context, app: AppRow, version: Version, rank: resources_pb2.Rank, found: Sequence[float] | None
) -> nearest.Floats:
    if rank.annotation.input_id:
        return _of_input(ctx, app, version, rank.annotation.input_id)
    values = rank.annotation.data.embeddings[0].vector if found is None else found
    try:
        vector = nearest.unit(values)
    except ValueError as error:
        raise InvalidRequest(f"searches.query.ranks: {error}") from error
    with ctx.database.read() as connection:
        held = nearest.nearest_of(ctx.database).vectors(connection, version.seq)
    if len(held.seqs) and held.matrix.shape[1] != len(vector):
        raise InvalidRequest(
            f"searches.query.ranks: the vector holds {len(vector)} numbers; those of embedder "
            f"{shown(version.model_id)!r}, version {version.id}, have {held.matrix.shape[1]}"
        )
    return vector


def _of_input(ctx: Context, app: AppRow, version: Version, id: str) -> nearest.Floats:
    with ctx.database.read() as connection:
        row = inputs.find(connection, app.seq, id)
        if row is None:
            raise InputDoesNotExist(f"searches.query.ranks: input {shown(id)!r} does not exist in this app")
        vector = nearest.nearest_of(ctx.database).vectors(connection, version.seq).of_input(row.seq)
    if vector is None:
        raise UnsupportedFormat(
            f"searches.query.ranks: input {shown(id)!r} is no picture that has a vector; its status is {row.status}"
        )
    return vector


def _await_vectors(ctx: Context, app: AppRow, version: Version) -> None:
    until, asked = time.monotonic() + WAIT_SECONDS, False
    while (now := _progress(ctx, app, version))[0]:
        left, state = now
        if state in (State.QUEUED, State.RUNNING):
            time.sleep(_POLL_SECONDS)
        elif asked and state is not State.DONE:
            raise SearchNotReady(f"the worker could not make {left} vectors; its log says why. Try again")
        else:
            _ask(ctx, version)
            asked = True
        if time.monotonic() > until:
            raise SearchNotReady(
                f"{left} pictures of app {shown(app.id)!r} have no vector yet; a worker is making them (is one "
                "running?). Search again in a minute"
            )


def _progress(ctx: Context, app: AppRow, version: Version) -> tuple[int, State | None]:
    """How many vectors are missing, and how the last job stands, both at one moment."""
    with ctx.database.read() as connection:
        missing = vectors.count_missing(connection, version.seq, app.seq)
        return missing, vectors.job_state(connection, version.seq)


def _ask(ctx: Context, version: Version) -> None:
    """Enqueues the job, unless another call has done so meanwhile."""
    with ctx.database.write() as connection:
        if vectors.job_state(connection, version.seq) not in (State.QUEUED, State.RUNNING):
            jobs.enqueue(connection, vectors.JOB, "data", ctx.caller.user_id, {}, version.seq)
