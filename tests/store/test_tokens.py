"""Tokens: a typed prefix and a checksum outside, a hash inside."""

import time
from pathlib import Path

import pytest

from luthier.store import tokens
from luthier.store.database import Database
from luthier.store.migrations import migrate


@pytest.fixture
def first(database: Database) -> tuple[str, str]:
    with database.write() as connection:
        made = tokens.first_user(connection)
    assert made is not None
    return made


def test_the_first_start_makes_one_user_and_one_token(database: Database, first: tuple[str, str]) -> None:
    user_id, text = first
    with database.write() as connection:
        assert tokens.first_user(connection) is None
        row = tokens.resolve(connection, text)
    assert row is not None and row.user_id == user_id and row.scopes == ["All"] and row.app is None


def test_a_token_has_256_random_bits_and_a_checksum(database: Database, first: tuple[str, str]) -> None:
    with database.write() as connection:
        texts = {tokens.make(connection, 1, description="", scopes=["All"])[0] for _ in range(50)}
    assert len(texts) == 50
    for text in texts:
        assert text.startswith("luth_pat_") and len(text) == len("luth_pat_") + 43 + 6
        assert tokens.well_formed(text)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: t + "0", lambda t: "x" + t[1:], lambda t: t[:20] + "é" + t[21:]]
)
def test_bad_A4_a_wrong_checksum_is_seen_without_a_look_up(first: tuple[str, str], change: object) -> None:
    assert not tokens.well_formed(change(first[1]))  # type: ignore[operator]


def test_bad_A4_every_single_wrong_letter_is_seen(first: tuple[str, str]) -> None:
    text = first[1]
    for at in range(9, len(text)):
        other = "A" if text[at] != "A" else "B"
        assert not tokens.well_formed(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize("text", ["", "luth_pat_", "luth_pat_" + "0" * 49, "\0" * 58, "Key x"])
def test_odd_texts_are_no_tokens(database: Database, text: str) -> None:
    with database.read() as connection:
        assert tokens.resolve(connection, text) is None


def test_bad_A5_a_well_formed_unknown_token_is_nobody(
    database: Database, first: tuple[str, str], tmp_path: Path
) -> None:
    other = Database.at(tmp_path / "other.db")
    migrate(other)
    with other.write() as connection:
        made = tokens.first_user(connection)
    assert made is not None
    with database.read() as connection:
        assert tokens.resolve(connection, made[1]) is None
    other.close()


def test_bad_A6_revoked_and_expired_are_told_apart_by_the_row(database: Database, first: tuple[str, str]) -> None:
    with database.write() as connection:
        text, id = tokens.make(connection, 1, description="ci", scopes=["Inputs_Get"], expires_at=time.time() - 1)
        assert tokens.revoke(connection, id)
        row = tokens.resolve(connection, text)
        assert row is not None and row.expires_at is not None and row.revoked_at is not None
        assert tokens.revoke(connection, id)
        again = tokens.resolve(connection, text)
        assert again is not None and again.revoked_at == row.revoked_at
        assert not tokens.revoke(connection, "unknown")
        assert [row.description for row in tokens.list_for(connection, 1)] == ["made at the first start", "ci"]


def test_p29_the_token_itself_is_nowhere_in_the_database(
    database: Database, first: tuple[str, str], tmp_path: Path
) -> None:
    secret = first[1].encode()
    for file in tmp_path.glob("luthier.db*"):
        data = file.read_bytes()
        assert secret not in data and secret[14:] not in data
