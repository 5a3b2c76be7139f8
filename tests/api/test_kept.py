"""Kept answers are exact: whatever anyone commits is seen by the next call."""

from pathlib import Path

from clarifai_grpc.grpc.api import service_pb2

from luthier.api.kept import MOST, MOST_BYTES, KeptAnswers
from luthier.store.database import Database, now
from luthier.store.tables import metadata, users

KEY = ("GetUser", b"key")


class Maker:
    def __init__(self, more: str = "") -> None:
        self.made, self.more = 0, more

    def __call__(self) -> service_pb2.SingleUserResponse:
        self.made += 1
        return service_pb2.SingleUserResponse(user={"id": f"made {self.made}{self.more}"})


def test_an_answer_lives_until_anyone_commits(tmp_path: Path) -> None:
    database, elsewhere = (Database.at(tmp_path / "luthier.db") for _ in range(2))
    metadata.create_all(database.engine)
    kept, make = KeptAnswers(database.commits()), Maker()
    assert [kept.get(KEY, make).user.id for _ in range(3)] == ["made 1"] * 3
    for writer in (database, elsewhere):
        with writer.write() as connection:
            connection.execute(users.insert().values(id=f"user {make.made}", message=b"", created_at=now()))
        assert kept.get(KEY, make).user.id == f"made {make.made}"
    assert make.made == 3


def test_an_answer_is_the_callers_own(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "luthier.db")
    kept, make = KeptAnswers(database.commits()), Maker()
    kept.get(KEY, make).status.req_id = "someone else's"
    assert kept.get(KEY, make).status.req_id == ""
    assert kept.get((0, b"another key"), make).user.id == "made 2"


def test_memory_is_bounded(tmp_path: Path) -> None:
    kept, make = KeptAnswers(Database.at(tmp_path / "luthier.db").commits()), Maker()
    for number in range(MOST + 5):
        kept.get((number, b""), make)
    kept.get((MOST + 1, b""), make)
    assert make.made == MOST + 6


def test_large_answers_and_requests_are_not_kept(tmp_path: Path) -> None:
    kept = KeptAnswers(Database.at(tmp_path / "luthier.db").commits())
    for key, make, made in (
        ((0, b""), Maker("x" * MOST_BYTES), 2),
        ((0, b"x" * (MOST_BYTES + 1)), Maker(), 2),
        ((1, b"x" * MOST_BYTES), Maker("x" * (MOST_BYTES - 100)), 1),
    ):
        for _ in range(2):
            kept.get(key, make)
        assert make.made == made
