"""What goes with an app: the trainings that run in it, and removing it piece by piece. Next: `resources`, `jobs`."""

from sqlalchemy import Connection, select

from luthier.store import inputs, tables
from luthier.store.jobs import State


def trainings_under_way(connection: Connection, app: int) -> list[int]:
    """Seqs of the app's model versions that are queued or being trained."""
    jobs, versions, models = tables.jobs.c, tables.model_versions.c, tables.models.c
    query = (
        select(jobs.subject)
        .join(tables.model_versions, versions.seq == jobs.subject)
        .join(tables.models, models.seq == versions.model)
        .where(jobs.kind == "training", jobs.state.in_([State.QUEUED, State.RUNNING]), models.app == app)
    )
    return list(connection.execute(query).scalars())


def delete_inputs(connection: Connection, app: int, limit: int) -> int:
    """Remove the app's oldest inputs with their annotations and memberships; returns how many went."""
    oldest = select(tables.inputs.c.seq).where(tables.inputs.c.app == app).order_by(tables.inputs.c.seq).limit(limit)
    seqs = list(connection.execute(oldest).scalars())
    inputs.remove(connection, seqs)
    return len(seqs)
