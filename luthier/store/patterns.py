"""Names by how they begin, letter case ignored: databases fold ASCII alone. Next: `concept_search`, `models`."""

import re


def beginning(pattern: str) -> re.Pattern[str]:
    """Matches texts that begin so once they are case-folded; `*` stands for anything."""
    parts = (re.escape(part) for part in pattern.casefold().split("*"))
    return re.compile(".*".join(parts), re.DOTALL)
