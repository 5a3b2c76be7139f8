"""Patterns with `*`: what they find, and that what they do not find takes no longer."""

import pytest

from luthier.store.patterns import beginning, whole

ENDLESS = "a*" * 8 + "b"  # tried in every way there is, against 1000 letters this would take years


@pytest.mark.parametrize(
    ("pattern", "text", "begins", "is_whole"),
    [
        ("cat", "CATS", True, False),
        ("c*t", "Cat", True, True),
        ("*t", "a cat sat", True, True),
        ("a*b*a", "axbxbya", True, True),
        ("a*ab*b", "aab", False, False),
        ("*", "", True, True),
        ("", "cat", True, False),
        ("c.t", "cat", False, False),
        ("c*", "c\nt", True, True),
    ],
)
def test_a_star_stands_for_anything(pattern: str, text: str, begins: bool, is_whole: bool) -> None:
    assert bool(beginning(pattern).match(text.casefold())) == begins
    assert bool(whole(pattern).fullmatch(text)) == is_whole


def test_many_stars_cost_no_more_than_the_text_is_long() -> None:
    assert beginning(ENDLESS).match("a" * 1000) is None
    assert whole(ENDLESS).fullmatch("a" * 1000) is None
    assert whole("a*" * 500 + "b").fullmatch("a" * 100_000) is None
