"""What is done to texts before a model reads them: nothing, unless a dataset version asks for it.

The options are stored with the dataset version (`metadata.text_preparation`) and with every run that learns from it, so
that what a model is asked about is prepared in the same way. Next: `engine/prepared_texts`, which does it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from luthier.errors import InvalidTrainingParams, shown

UNICODE = ("none", "NFC", "NFKC")
STOP_WORDS = ("none", "english")
STEMMING = (
    "none", "arabic", "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian",
    "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
)  # fmt: skip
MISSING = ("reject", "drop", "fill")
LONGEST_FILLING = 1000


@dataclass(frozen=True)
class TextPreparation:
    """In the order in which it is done.

    `missing`: an empty text is invalid (reject), left out (drop), or `fill` takes its place.
    """

    missing: str = "reject"
    fill: str = ""
    unicode: str = "none"  # canonical form: NFC, or NFKC, which makes one of look-alikes such as ﬁ and fi
    whitespace: bool = False  # one space for any run of blanks, tabs and line ends, none at the ends
    lower_case: bool = False
    stop_words: str = "none"  # of a language: words without meaning of their own are dropped
    stemming: str = "none"  # of a language: words are cut to their stems (Porter's Snowball)

    def to_json(self) -> dict[str, Any]:
        """What differs from doing nothing; {} for that."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


def checked(given: object, where: str) -> TextPreparation:
    """What a user wrote; raises InvalidTrainingParams that names the key, what it is and what is allowed."""
    if not isinstance(given, Mapping):
        raise InvalidTrainingParams(f"{where} is {shown(given)}; give an object with any of {', '.join(_ALLOWED)}")
    for name, value in given.items():
        if name not in _ALLOWED:
            raise InvalidTrainingParams(f"{where} has the key {shown(name)}; it takes {', '.join(_ALLOWED)}")
        allowed, fits = _ALLOWED[name]
        if not fits(value):
            raise InvalidTrainingParams(f"{where}.{name} is {shown(value)}; give {allowed}")
    found = TextPreparation(**{str(name): value for name, value in given.items()})
    if found.missing == "fill" and not found.fill.strip():
        raise InvalidTrainingParams(f"{where}.fill is empty, but missing is fill; give the text that takes the place")
    return found


def _one_of(names: tuple[str, ...]) -> tuple[str, Callable[[Any], bool]]:
    return f"one of {', '.join(names)}", lambda value: value in names


_FLAG: tuple[str, Callable[[Any], bool]] = ("true or false", lambda value: isinstance(value, bool))
_TEXT: tuple[str, Callable[[Any], bool]] = (
    f"a text of at most {LONGEST_FILLING} characters",
    lambda value: isinstance(value, str) and len(value) <= LONGEST_FILLING,
)
_ALLOWED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "missing": _one_of(MISSING),
    "fill": _TEXT,
    "unicode": _one_of(UNICODE),
    "whitespace": _FLAG,
    "lower_case": _FLAG,
    "stop_words": _one_of(STOP_WORDS),
    "stemming": _one_of(STEMMING),
}
assert list(_ALLOWED) == list(asdict(TextPreparation()))  # noqa: S101, a slip of the pen
