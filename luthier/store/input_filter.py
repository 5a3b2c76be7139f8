"""What a search asks of an input. Next: `input_search`, which answers it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from luthier.store.inputs import InputRow


@dataclass(frozen=True)
class LabelIs:
    """An annotation that counts gives the concept of that id, else of that name, this value: to all of it or a part."""

    id: str
    name: str
    value: int


@dataclass(frozen=True)
class Judge:
    """`keep` looks at the row; the message of one that it keeps contains, for each of `holding`, one of the bytes."""

    keep: Callable[[InputRow], bool]
    holding: tuple[tuple[bytes, ...], ...] = ()


@dataclass(frozen=True)
class Filter:
    """What an input must all be; each list that is not empty asks for one of its entries, `labels` for every one."""

    ids: tuple[str, ...] = ()
    labels: tuple[LabelIs, ...] = ()
    datasets: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    status: int | None = None
    changed: tuple[float, float] | None = None  # modified from, and before; Unix seconds
    judge: Judge | None = field(default=None, compare=False)
    negate: bool = False
