"""What workers train on, as they last said. Next: `calibrations`, which are kept per device."""

from sqlalchemy import Connection, delete, select, update

from luthier.store.database import insert_unless, now
from luthier.store.tables import devices

FORGOTTEN_AFTER = 7 * 24 * 3600.0  # seconds; a worker's name holds its process id, so rows would pile up


def seen(connection: Connection, worker: str, device: str, kind: str) -> None:
    """Worker `worker` trains on `device` ("cpu/2": two threads; else its name) of kind cpu, cuda or mps."""
    values = {"device": device, "kind": kind, "seen_at": now()}
    connection.execute(insert_unless(connection, devices).values(worker=worker, **values))
    connection.execute(update(devices).where(devices.c.worker == worker).values(**values))
    connection.execute(delete(devices).where(devices.c.seen_at < now() - FORGOTTEN_AFTER))


def current_device(connection: Connection) -> tuple[str, str] | None:
    """(device, kind) of the worker that spoke last; None before the first has."""
    row = connection.execute(
        select(devices.c.device, devices.c.kind).order_by(devices.c.seen_at.desc()).limit(1)
    ).first()
    return (row[0], row[1]) if row else None
