"""How the jobs of a user stand, for those who follow them. Next: `jobs`, `api/events`."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, or_, select

from luthier.store.jobs import State
from luthier.store.tables import jobs, model_versions


@dataclass(frozen=True)
class JobState:
    seq: int
    kind: str
    state: str  # of jobs.State
    progress: int  # the farthest step so far
    version_id: str  # of the model version that a training is for, "" for others

    @property
    def ended(self) -> bool:
        return self.state not in (State.QUEUED, State.RUNNING)


def of_user(connection: Connection, user: str, also: Collection[int] = ()) -> list[JobState]:
    """Jobs that wait or run, and those of `also`, seqs of jobs that did a moment ago; in order of creation."""
    wanted: ColumnElement[bool] = jobs.c.state.in_((State.QUEUED, State.RUNNING))
    if also:
        wanted = or_(wanted, jobs.c.seq.in_(also))
    of_version = (jobs.c.kind == "training") & (model_versions.c.seq == jobs.c.subject)
    query = (
        select(jobs.c.seq, jobs.c.kind, jobs.c.state, jobs.c.progress, model_versions.c.id)
        .select_from(jobs.outerjoin(model_versions, of_version))
        .where(jobs.c.user == user, wanted)
        .order_by(jobs.c.seq)
    )
    return [JobState(*row[:4], row[4] or "") for row in connection.execute(query)]
