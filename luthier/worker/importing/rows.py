"""Writes prepared items as inputs with labels, regions and memberships, 128 in a transaction. Next: `bring_in`."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from luthier.errors import DoesNotExist, DuplicateInput, shown
from luthier.store import annotations, concepts, datasets, fetches, imports, inputs, jobs
from luthier.store.annotations import NewAnnotation
from luthier.store.fetches import PENDING_INPUT
from luthier.store.imports import ACCEPTED, Import, Item
from luthier.store.inputs import InputRow, NewInput
from luthier.store.regions import COUNTING, RegionRow
from luthier.store.urls import Url
from luthier.wire.imported import annotation_message, input_message
from luthier.worker.importing.prepare import Ready, Refused


def write(connection: Connection, one: Import, user: str, results: Sequence[Ready | Refused]) -> None:
    """What became of each stands beside it, in one transaction. Raises DoesNotExist for a dataset that has gone."""
    ready = [result for result in results if isinstance(result, Ready)]
    there = inputs.find_many(connection, one.app, [item.id for item in ready])
    same = _same(connection, [item for item in ready if item.id in there], there)
    new = [item for item in ready if item.id not in there]
    made = {row.id: row for row in inputs.add(connection, one.app, [_input(item) for item in new], one.input_job)}
    _annotate(connection, one.app, user, [(item, made[item.id]) for item in new])
    _fetch(connection, one.app, user, [(made[item.id].seq, item.url) for item in new if item.url])
    kept = {id: row for id, row in there.items() if one.request.skip or id in same}
    _join(connection, one, [made.get(item.id) or kept.get(item.id) for item in ready])
    items = [_item(result, kept if isinstance(result, Ready) and result.id in there else made) for result in results]
    present = sum(item.input_id in kept for item in items)
    imports.add_items(connection, one.seq, items, made=len(made), present=present)


def _same(connection: Connection, items: Sequence[Ready], there: Mapping[str, InputRow]) -> set[str]:
    """Ids of inputs that hold already what the data say: the same bytes, at least these labels, these regions."""
    if not items:
        return set()
    seqs = [row.seq for row in there.values()]
    labels, own = annotations.own_labels(connection, seqs), annotations.own_of(connection, seqs)
    hashes = fetches.hashes(connection, seqs)
    same = set()
    for item in items:
        row = there[item.id]
        values = {label.concept_id: label.value for label in labels.get(row.seq, [])}
        wanted = {id: value for id, (_, value) in item.labels.items()}
        message = own[row.seq].message if row.seq in own else b""
        regions_same = not item.regions or message == annotation_message(item.regions)[0]
        content_same = hashes.get(row.seq) == item.url.hash if item.url else row.blob == item.blob
        if content_same and values | wanted == values and regions_same:
            same.add(item.id)
    return same


def _input(item: Ready) -> NewInput:
    message = input_message(item.metadata, item.found.extra.geo, item.url.masked if item.url else "")
    shape = (item.format, item.width, item.height)
    status = PENDING_INPUT if item.url else ACCEPTED
    return NewInput(item.id, item.kind, item.blob, item.size, *shape, item.split, status, message)


def _fetch(connection: Connection, app: int, user: str, by_url: Sequence[tuple[int, Url]]) -> None:
    """As for inputs that are sent as URLs."""
    fetches.add(connection, app, by_url)
    if by_url:
        jobs.enqueue(connection, "fetch", "data", user, {"rows": [seq for seq, _ in by_url]})


def _annotate(connection: Connection, app: int, user: str, new: Sequence[tuple[Ready, InputRow]]) -> None:
    """An own annotation for each that has labels or regions; concepts that are not there are made."""
    some = [(item, row) for item, row in new if item.labels or item.regions]
    names = {region.concept: region.concept for item, _ in some for region in item.regions}
    names |= {id: name for item, _ in some for id, (name, _) in item.labels.items()}
    seqs = concepts.seqs_made(connection, app, names) if names else {}
    notes = []
    for item, row in some:
        message, points = annotation_message(item.regions)
        regions = [
            RegionRow(one.kind, place, {seqs[one.concept]: 1}, one.mask[0] if one.mask else "", one.object)
            for one, place in zip(item.regions, points, strict=True)
        ]
        labels = {seqs[id]: value for id, (_, value) in item.labels.items()}
        notes.append(NewAnnotation(row.seq, row.id, True, message, labels, regions))
    annotations.add(connection, app, user, COUNTING, notes)


def _join(connection: Connection, one: Import, rows: Sequence[InputRow | None]) -> None:
    ids = one.request.dataset_ids
    seqs = datasets.seqs(connection, one.app, set(ids)) if ids else {}
    for id in ids:
        if id not in seqs:
            raise DoesNotExist(f"dataset '{shown(id)}' was deleted while inputs were made for it")
    datasets.add_members(connection, [(seq, row.seq) for seq in seqs.values() for row in rows if row])


def _item(result: Ready | Refused, accepted: Mapping[str, InputRow]) -> Item:
    number, name = result.found.number, result.found.name
    if isinstance(result, Ready) and result.id in accepted:
        return Item(number, name, result.id, ACCEPTED, "")
    if isinstance(result, Refused):
        return Item(number, name, "", result.code, result.details)
    details = f"input '{shown(result.id)}' is there with other content or labels; delete it, or skip such ids"
    return Item(number, name, "", DuplicateInput.code, details)
