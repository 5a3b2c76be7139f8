"""Which vectors lie nearest to one: exact up to EXACT_BELOW of them, above it through an index of faiss.

The vectors of the versions that were searched last are kept in memory and brought up to date before each search.
Next: `vectors`, where they are stored.
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from luthier.store import vectors
from luthier.store.database import Database

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

EXACT_BELOW = 100_000  # vectors
MOST_BYTES = 1 << 30  # of vectors in memory; those that were searched longest ago make room
PROBED = 0.1  # share of an index's cells that a search looks into
_REBUILT = 1.25  # an index is made anew when there are so many times as many vectors
_LOOKED_AT = 10  # times as many candidates as are wanted

Metric = Literal["cosine", "euclidean"]


@dataclass(frozen=True)
class Query:
    vector: Floats  # (D,), of length 1
    negate: bool = False  # the farthest first


@dataclass(frozen=True)
class Found:
    input: int  # seq
    score: float  # 1: the same direction; 0: the opposite one


@dataclass(frozen=True)
class Vectors:
    """What one version has made of an app's pictures. `seqs` rise; rows of `matrix` have length 1."""

    seqs: Numbers
    inputs: Numbers
    matrix: Floats  # (N, D)

    def of_input(self, input: int) -> Floats | None:
        places = np.flatnonzero(self.inputs == input)
        return self.matrix[places[0]] if len(places) else None


NOTHING = Vectors(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0), np.float32))


def unit(values: Sequence[float]) -> Floats:
    """The vector made as long as 1; raises ValueError for what has no direction."""
    vector = np.asarray(values, np.float32)
    length = float(np.linalg.norm(vector)) if vector.size else 0.0
    if not math.isfinite(length) or length == 0:
        raise ValueError("a vector needs at least one number that is not 0, and only finite ones")
    return vector / np.float32(length)


def ranked(
    held: Vectors,
    queries: Sequence[Query],
    metric: Metric,
    *,
    among: Sequence[int] | None = None,
    least: float = 0.0,
    count: int | None = None,
) -> list[Found]:
    """The `count` best or all, of every vector or those of the inputs `among`; scores under `least` are left out.

    Best first, of equals the older; of several queries the mean score counts.
    """
    places = np.arange(len(held.seqs)) if among is None else np.flatnonzero(np.isin(held.inputs, np.asarray(among)))
    return _ordered(held, places, queries, metric, least, count)


class Nearest:
    """The vectors of some versions in memory. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[int, Vectors] = OrderedDict()
        self._indexes: dict[int, _Index] = {}

    def vectors(self, connection: Connection, version: int) -> Vectors:
        """As they are now."""
        with self._lock:
            held = _up_to_date(connection, version, self._held.get(version, NOTHING))
            self._held[version] = held
            self._held.move_to_end(version)
            while len(self._held) > 1 and sum(one.matrix.nbytes for one in self._held.values()) > MOST_BYTES:
                gone, _ = self._held.popitem(last=False)
                self._indexes.pop(gone, None)
            return held

    def approximately(self, version: int, held: Vectors, query: Query, metric: Metric, count: int) -> list[Found]:
        """About the `count` best, their scores exact; all that are as good are found in nearly every case."""
        with self._lock:
            index = self._indexes.get(version)
            if index is None or len(held.seqs) > index.made_of * _REBUILT:
                index = self._indexes[version] = _Index(held)
        return _ordered(held, index.candidates(held, query, count * _LOOKED_AT), [query], metric, 0.0, count)


_OF_DATABASES: "WeakKeyDictionary[Database, Nearest]" = WeakKeyDictionary()
_MAKING = threading.Lock()


def nearest_of(database: Database) -> Nearest:
    """The one of this process for that database."""
    with _MAKING:
        return _OF_DATABASES.setdefault(database, Nearest())


def has_index(held: Vectors) -> bool:
    """Whether there are so many vectors that an index pays, and faiss (the extra `search`) is here to make one."""
    if len(held.seqs) < EXACT_BELOW:
        return False
    try:
        import faiss  # noqa: F401
    except ImportError:
        return False
    return True


def _ordered(
    held: Vectors,
    places: npt.NDArray[Any],
    queries: Sequence[Query],
    metric: Metric,
    least: float,
    count: int | None,
) -> list[Found]:
    if not len(places):
        return []
    rows = held.matrix if len(places) == len(held.seqs) else held.matrix[places]
    scores = np.mean([_scores(rows, query, metric) for query in queries], axis=0)
    inputs = held.inputs[places]
    order = np.lexsort((inputs, -scores))[:count]
    return [Found(int(inputs[place]), float(scores[place])) for place in order if scores[place] >= least]


def _scores(rows: Floats, query: Query, metric: Metric) -> Floats:
    """1 minus half the distance, which is at most 2 for vectors of length 1, whatever the metric."""
    cosines = np.clip(rows @ query.vector, -1, 1)
    distances = 1 - cosines if metric == "cosine" else np.sqrt(2 - 2 * cosines)
    scores: Floats = 1 - distances / 2
    return 1 - scores if query.negate else scores


def _up_to_date(connection: Connection, version: int, held: Vectors) -> Vectors:
    """Reads what has come since, and drops what has gone."""
    stamp = vectors.stamp(connection, version)
    newest = int(held.seqs[-1]) if len(held.seqs) else 0
    if stamp == vectors.Stamp(len(held.seqs), newest):
        return held
    new = list(vectors.after(connection, version, newest))
    if new:
        matrix = np.frombuffer(b"".join(row.vector for row in new), "<f4").reshape(len(new), -1)
        held = Vectors(
            np.concatenate([held.seqs, np.array([row.seq for row in new], np.int64)]),
            np.concatenate([held.inputs, np.array([row.input for row in new], np.int64)]),
            np.concatenate([held.matrix, matrix]) if len(held.seqs) else matrix.astype(np.float32),
        )
    if len(held.seqs) > stamp.count:
        kept = np.isin(held.seqs, np.array(vectors.numbers(connection, version), np.int64))
        held = Vectors(held.seqs[kept], held.inputs[kept], held.matrix[kept])
    return held


class _Index:
    """Cells of vectors that lie close together (an inverted file of faiss); a search looks into the nearest cells.

    Later vectors are not in it: they are compared one by one until it is made anew.
    """

    def __init__(self, held: Vectors) -> None:
        import faiss

        self.made_of = len(held.seqs)
        self._newest = int(held.seqs[-1])
        cells, width = max(1, round(math.sqrt(self.made_of))), held.matrix.shape[1]
        half = faiss.ScalarQuantizer.QT_fp16
        self._quantizer = faiss.IndexFlatIP(width)  # the index below does not keep it alive
        self._index = faiss.IndexIVFScalarQuantizer(
            self._quantizer, width, cells, half, faiss.METRIC_INNER_PRODUCT, False
        )
        self._index.cp.max_points_per_centroid = 64
        self._index.train(held.matrix)
        self._index.add_with_ids(held.matrix, held.seqs)
        self._index.nprobe = max(16, round(cells * PROBED))

    def candidates(self, held: Vectors, query: Query, count: int) -> npt.NDArray[Any]:
        """Places in `held`; what was deleted since is left out."""
        vector = -query.vector if query.negate else query.vector
        _, found = self._index.search(vector[None], min(count, self.made_of))
        indexed = np.flatnonzero(np.isin(held.seqs, found[0]))
        return np.concatenate([indexed, np.flatnonzero(held.seqs > self._newest)])
