"""Kept answers are exact: whatever anyone commits is seen by the next call."""

from pathlib import Path

from clarifai_grpc.grpc.api import service_pb2

from luthier.api.kept import MOST, KeptAnswers
from luthier.store.database import Database, now
from luthier.store.tables import metadata, users


class Maker:
    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> service_pb2.SingleUserResponse:
        self.made += 1
        return service_pb2.SingleUserResponse(user={"id": f"made {self.made}"})


def test_an_answer_lives_until_anyone_commits(tmp_path: Path) -> None:
    database, elsewhere = (Database.at(tmp_path / "luthier.db") for _ in range(2))
    metadata.create_all(database.engine)
    kept, make = KeptAnswers(database.commits()), Maker()
    assert [kept.get("key", make).user.id for _ in range(3)] == ["made 1"] * 3
    for writer in (database, elsewhere):
        with writer.write() as connection:
            connection.execute(users.insert().values(id=f"user {make.made}", message=b"", created_at=now()))
        assert kept.get("key", make).user.id == f"made {make.made}"
    assert make.made == 3


def test_an_answer_is_the_callers_own(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "luthier.db")
    kept, make = KeptAnswers(database.commits()), Maker()
    kept.get("key", make).status.req_id = "someone else's"
    assert kept.get("key", make).status.req_id == ""
    assert kept.get("another key", make).user.id == "made 2"


def test_memory_is_bounded(tmp_path: Path) -> None:
    kept, make = KeptAnswers(Database.at(tmp_path / "luthier.db").commits()), Maker()
    for number in range(MOST + 5):
        kept.get(number, make)
    kept.get(MOST + 1, make)
    assert make.made == MOST + 6
