"""The `dataset_ids` of an input as calls name them: joining datasets, patching. Next: `inputs`, `dataset_inputs`."""

from collections.abc import Iterable, Sequence

from luthier.errors import DoesNotExist, InvalidInput, shown
from luthier.store import datasets
from luthier.store.database import Connection
from luthier.store.inputs import InputRow
from luthier.store.resources import AppRow

MOST_DATASETS = 100  # that one call names for one input


def wanted(ids: Sequence[str]) -> tuple[str, ...]:
    """Each once; raises InvalidInput for too many."""
    if len(ids) > MOST_DATASETS:
        raise InvalidInput(f"dataset_ids names {len(ids)} datasets; at most {MOST_DATASETS} in one call")
    return tuple(dict.fromkeys(ids))


def require(ids: Iterable[str], known: Iterable[str]) -> None:
    missing = next((id for id in ids if id not in known), None)
    if missing is not None:
        raise DoesNotExist(f"dataset_ids: dataset {shown(missing)!r} does not exist in this app")


def join(connection: Connection, app: AppRow, pairs: Sequence[tuple[str, int]]) -> None:
    """(dataset's id, input's seq) each; one that is in already stays. The datasets have been seen to exist."""
    seqs = datasets.seqs(connection, app.seq, {id for id, _ in pairs}) if pairs else {}
    datasets.add_members(connection, [(seqs[id], input) for id, input in pairs])


def check_patch(connection: Connection, app: AppRow, ids: Sequence[str], action: str) -> None:
    """Raises what `patch` would; writes nothing. Taking an input out of a dataset that is not there is no mistake."""
    if ids and action != "remove":
        require(wanted(ids), datasets.seqs(connection, app.seq, ids))


def patch(connection: Connection, app: AppRow, row: InputRow, ids: Sequence[str], action: str) -> None:
    """merge: into these too. overwrite: into these alone. remove: out of these. None named: all stays as it is."""
    if not ids:
        return
    gone = set(ids) if action == "remove" else set()
    if action == "overwrite":
        gone = set(datasets.datasets_of(connection, [row.seq]).get(row.seq, [])) - set(ids)
    if gone:
        datasets.take_out(connection, row.seq, list(datasets.seqs(connection, app.seq, gone).values()))
    if action != "remove":
        join(connection, app, [(id, row.seq) for id in wanted(ids)])
