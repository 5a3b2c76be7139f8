"""Answers of reads by key, kept until anything is committed: what polling clients ask for again and again.

Next: `dispatch`, which asks here for the calls in `pools.QUICK`.
"""

from collections.abc import Callable, Hashable
from typing import TypeVar

from google.protobuf.message import Message

from luthier.store.database import Commits

Answer = TypeVar("Answer", bound=Message)

MOST = 512  # answers; the next ones are made anew each time
MOST_BYTES = 64 * 1024  # of an answer, and of a request: larger ones are made anew each time


class KeptAnswers:
    """Exact: the stamp is taken before an answer is made, and no answer outlives it. Nothing is kept on PostgreSQL."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._stamp: object = None
        self._answers: dict[Hashable, Message] = {}

    def get(self, key: tuple[Hashable, bytes], make: Callable[[], Answer]) -> Answer:
        """A message of the caller's own. `key` holds all that the answer depends on beside the database, in its last
        part the request.
        """
        stamp = self._commits.stamp()
        if stamp != self._stamp:
            self._stamp, self._answers = stamp, {}
        answers = self._answers
        kept = answers.get(key)
        if kept is None:
            kept = make()
            if len(answers) >= MOST or max(len(key[1]), kept.ByteSize()) > MOST_BYTES:
                return kept
            answers[key] = kept
        own: Answer = type(kept)()
        own.CopyFrom(kept)
        return own
