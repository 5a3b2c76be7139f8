"""Texts by patterns in which `*` stands for anything. Next: `concept_search`, `rpcs/models`.

Each part is looked for once, behind the one before it, in an atomic group: a pattern of many stars costs no more than
its length times the text's. Without the groups, what does not match would be tried in every way there is.
"""

import re


def beginning(pattern: str) -> re.Pattern[str]:
    """`match` tells whether a text, case-folded, begins so: databases fold ASCII alone."""
    first, *rest = pattern.casefold().split("*")
    return re.compile(re.escape(first) + _one_after_another(rest), re.DOTALL)


def whole(pattern: str) -> re.Pattern[str]:
    """`fullmatch` tells whether a text is all of that, letter case ignored."""
    first, *rest = pattern.split("*")
    last = f".*{re.escape(rest.pop())}" if rest else ""
    return re.compile(re.escape(first) + _one_after_another(rest) + last, re.IGNORECASE | re.DOTALL)


def _one_after_another(parts: list[str]) -> str:
    """The first place where a part stands is as good as any later one."""
    return "".join(f"(?>.*?{re.escape(part)})" for part in parts)
