"""What is done to texts before a model reads them: nothing unless it is asked for, and the same in prediction."""

from typing import Any

import pytest

from luthier.catalog.text_preparation import checked
from luthier.engine.prepared_texts import prepare
from luthier.errors import InvalidTrainingParams

EVERYTHING = {
    "unicode": "NFKC", "whitespace": True, "lower_case": True, "stop_words": "english", "stemming": "english",
}  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "text", "prepared"),
    [
        ({}, "  The ﬁles\tWERE\n not  mixing. ", "  The ﬁles\tWERE\n not  mixing. "),
        ({"unicode": "NFKC"}, "ﬁles ①", "files 1"),
        ({"unicode": "NFC"}, "e\u0301", "é"),
        ({"whitespace": True}, "  a\t\u00a0b\n\nc ", "a b c"),
        ({"lower_case": True}, "ÄRGER", "ärger"),
        ({"stop_words": "english"}, "The mixer of the songs, it isn't not loud", "mixer songs, isn't not loud"),
        ({"stop_words": "english"}, "to be", "to be"),
        ({"stemming": "english"}, "Mixing songs' files", "mix song' file"),
        ({"stemming": "german"}, "Häuser bauen", "haus bau"),
        (EVERYTHING, " The ﬁles\tWERE\n not  mixing. ", "file not mix."),
    ],
)
def test_each_option_does_what_it_says(wanted: dict[str, Any], text: str, prepared: str) -> None:
    assert prepare(wanted)(text) == prepared


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("lower", "is lower; give an object with any of missing, fill, unicode"),
        ({"lowercase": True}, "has the key lowercase; it takes missing"),
        ({"lower_case": "yes"}, "lower_case is yes; give true or false"),
        ({"unicode": "nfc"}, "unicode is nfc; give one of none, NFC, NFKC"),
        ({"stemming": ["english"]}, "stemming is"),
        ({"missing": "fill"}, "fill is empty, but missing is fill"),
        ({"fill": "x" * 2000}, "at most 1000 characters"),
    ],
)
def test_what_is_not_allowed_is_named(given: Any, says: str) -> None:
    with pytest.raises(InvalidTrainingParams, match=says):
        checked(given, "metadata.text_preparation")


def test_only_what_differs_from_doing_nothing_is_kept() -> None:
    assert checked({"lower_case": True, "unicode": "none", "whitespace": False}, "x").to_json() == {"lower_case": True}
    assert checked({}, "x").to_json() == {}
