"""What a step of a template costs on a device, measured: estimates are made from these. Next: `devices`."""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Select, select, update

from luthier.store.database import insert_unless, now
from luthier.store.devices import current_device, seen
from luthier.store.tables import calibrations

__all__ = ["Calibration", "all_for", "current_device", "find", "record", "seen"]


@dataclass(frozen=True)
class Calibration:
    template: str
    model_type: str
    image_size: int  # pixels
    batch_size: int
    device: str
    seconds_per_step: float
    seconds_per_validation_item: float
    start_seconds: float
    checkpoint_seconds: float
    gflops_per_item: float  # that the template declared then, one forward pass


def record(connection: Connection, calibration: Calibration) -> None:
    """Keeps it in the place of an older one for the same template, size, batch and device."""
    values = {**asdict(calibration), "created_at": now()}
    connection.execute(insert_unless(connection, calibrations).values(**values))
    key = [
        calibrations.c[name] == values[name]
        for name in ("template", "model_type", "image_size", "batch_size", "device")
    ]
    connection.execute(update(calibrations).where(*key).values(**values))


def find(
    connection: Connection, template: str, model_type: str, image_size: int, batch_size: int, device: str
) -> Calibration | None:
    key = (
        calibrations.c.template == template,
        calibrations.c.model_type == model_type,
        calibrations.c.device == device,
    )
    sizes = (calibrations.c.image_size == image_size, calibrations.c.batch_size == batch_size)
    row = connection.execute(_columns().where(*key, *sizes)).mappings().first()
    return Calibration(**row) if row else None


def all_for(connection: Connection, device: str) -> list[Calibration]:
    """Newest first."""
    rows = _columns().where(calibrations.c.device == device).order_by(calibrations.c.created_at.desc())
    return [Calibration(**row) for row in connection.execute(rows).mappings()]


def _columns() -> Select[Any]:
    return select(*(calibrations.c[name] for name in Calibration.__dataclass_fields__))
