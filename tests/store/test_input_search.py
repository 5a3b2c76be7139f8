"""Whatever filters come together, a search finds what looking at every input finds, in order, on every page."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import Connection, insert, select

from luthier.store import annotations, concepts, counts, datasets, input_search, inputs
from luthier.store.annotations import NewAnnotation
from luthier.store.counts import LabelCount
from luthier.store.database import Database
from luthier.store.input_filter import Filter, Judge, LabelIs
from luthier.store.inputs import InputRow, NewInput
from luthier.store.regions import RegionRow
from luthier.store.tables import apps, users
from luthier.store.tables import datasets as dataset_table

GOOD, WAITS = 24150, 24151
TIMES = {"created_at": 1.0, "modified_at": 1.0}
CONCEPTS = ("cat", "dog", "owl", "emu")


@dataclass
class Thing:
    """What a test knows of an input. `labels` are those that count, of the whole or a region: (concept, value)."""

    id: str
    seq: int
    kind: str
    status: int
    message: bytes
    labels: set[tuple[str, int]] = field(default_factory=set)
    whole: set[tuple[str, int]] = field(default_factory=set)
    datasets: set[str] = field(default_factory=set)


class Zoo:
    """80 inputs with labels of several annotations, some of which do not count, and two datasets."""

    def __init__(self, database: Database) -> None:
        self.database, self.chance = database, random.Random(1)
        time = {"message": b"", **TIMES}
        with database.write() as connection:
            connection.execute(insert(users).values(id="ada", message=b"", created_at=1.0))
            connection.execute(insert(apps).values(user=select(users.c.seq).scalar_subquery(), id="zoo", **time))
            self.app = int(connection.execute(select(apps.c.seq)).scalar_one())
            connection.execute(insert(dataset_table), [{"app": self.app, "id": id, **time} for id in ("one", "two")])
            self.sets = datasets.seqs(connection, self.app, ("one", "two"))
            self.concepts = concepts.seqs_made(connection, self.app, {id: id.title() for id in CONCEPTS})
            new = [self._new(number) for number in range(80)]
            rows = inputs.add(connection, self.app, new, None)
            self.things = [Thing(row.id, row.seq, row.kind, row.status, row.message) for row in rows]
            for thing in self.things:
                self._mark(connection, thing)

    def _new(self, number: int) -> NewInput:
        kind, status = self.chance.choice(("image", "text")), self.chance.choice((30000, 30000, 30001))
        message = self.chance.choice((b"red", b"green", b"red green", b""))
        return NewInput(f"i{number}", kind, "", 0, "PNG", 8, 8, "", status, message)

    def _mark(self, connection: Connection, thing: Thing) -> None:
        for number in range(self.chance.randrange(3)):
            status, labels = self.chance.choice((GOOD, GOOD, WAITS)), self._labels(("cat", "dog", "owl"))
            parts = self._labels(("dog", "emu")) if number else {}
            region = RegionRow("box", (0.1, 0.1, 0.2, 0.2), {self.concepts[id]: value for id, value in parts.items()})
            whole = {self.concepts[id]: value for id, value in labels.items()}
            note = NewAnnotation(thing.seq, f"n{number}", False, b"", whole, [region] if parts else [])
            annotations.add(connection, self.app, "ada", status, [note])
            if status == GOOD:
                thing.labels |= {*labels.items(), *parts.items()}
                thing.whole |= {*labels.items()}
        thing.datasets = {id for id in ("one", "two") if self.chance.random() < 0.4}
        datasets.add_members(connection, [(self.sets[id], thing.seq) for id in thing.datasets])

    def _labels(self, ids: Sequence[str]) -> dict[str, int]:
        return {id: self.chance.randrange(2) for id in ids if self.chance.random() < 0.5}


@pytest.fixture
def zoo(database: Database) -> Zoo:
    return Zoo(database)


def some_filter(chance: random.Random) -> Filter:
    labels = [LabelIs(*chance.choice((("cat", ""), ("dog", ""), ("", "Owl"), ("emu", ""), ("eel", ""))), 1)]
    labels = [replace(label, value=chance.randrange(2)) for label in labels * chance.randrange(3)]
    judge = Judge(lambda row: row.message.startswith(b"red"), ((b"red", b"blue"),))
    return Filter(
        ids=tuple(f"i{chance.randrange(90)}" for _ in range(20)) if chance.random() < 0.1 else (),
        labels=tuple(labels),
        datasets=chance.choice(((), (), ("one",), ("one", "two"), ("none",))),
        kinds=chance.choice(((), (), ("image",), ("image", "text"))),
        status=chance.choice((None, None, 30000)),
        judge=judge if chance.random() < 0.2 else None,
        negate=chance.random() < 0.3,
    )


def passes(thing: Thing, one: Filter) -> bool:
    facts = [(label.id or label.name.lower(), label.value) in thing.labels for label in one.labels]
    facts += [thing.id in one.ids] if one.ids else []
    facts += [bool(thing.datasets & set(one.datasets))] if one.datasets else []
    facts += [thing.kind in one.kinds] if one.kinds else []
    facts += [thing.status == one.status] if one.status else []
    facts += [thing.message.startswith(b"red")] if one.judge else []
    return all(facts) != one.negate


def searches(count: int) -> Iterator[list[Filter]]:
    chance = random.Random(2)
    for _ in range(count):
        yield [some_filter(chance) for _ in range(chance.choice((1, 1, 2, 3)))]


def test_a_search_finds_what_looking_at_every_input_finds(zoo: Zoo) -> None:
    found_some = 0
    for filters in searches(80):
        expected = [thing.id for thing in zoo.things if all(passes(thing, one) for one in filters)]
        found_some += bool(expected)
        with zoo.database.read() as connection:
            for offset in (0, 1, 7):
                rows: list[InputRow] = input_search.page(connection, zoo.app, filters, offset, 5)
                assert [row.id for row in rows] == expected[offset : offset + 5], filters
            assert input_search.count(connection, zoo.app, filters) == len(expected), filters
    assert found_some > 25


def test_labels_that_no_longer_count_are_not_found(zoo: Zoo) -> None:
    cat = [Filter(labels=(LabelIs("cat", "", 1),))]
    with zoo.database.write() as connection:
        assert input_search.count(connection, zoo.app, cat) > 5
        rows = annotations.page(connection, zoo.app, 0, 1000, annotations.Wanted())
        waiting = [annotations.Changed(row.seq, row.input, WAITS, row.message) for row in rows]
        annotations.rewrite(connection, waiting)
        assert input_search.count(connection, zoo.app, cat) == 0
        said = {zoo.concepts["cat"]: 1}
        annotations.rewrite(connection, [replace(one, labels=said) for one in waiting])
        assert input_search.count(connection, zoo.app, cat) == 0


def test_counts_of_labels_are_those_of_the_inputs_that_have_them(zoo: Zoo) -> None:
    expected = {
        LabelCount(zoo.concepts[id], value, status, number)
        for id in CONCEPTS
        for value in (0, 1)
        for status in (30000, 30001)
        if (number := sum((id, value) in thing.labels and thing.status == status for thing in zoo.things))
    }
    with zoo.database.read() as connection:
        assert set(counts.labels(connection, zoo.app, list(zoo.concepts.values()))) == expected
        assert counts.labels(connection, zoo.app, []) == []
