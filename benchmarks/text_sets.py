"""Real texts that a Debian machine with a Python environment has: one line each, and the subject it belongs to.

Three sets: summaries of Debian packages by section, first lines of docstrings by library, NAME lines of manual pages by
section. Next: `quality`, which learns them.
"""

import ast
import gzip
import re
import subprocess
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

TRAIN, TEST = 2150, 500
SECTIONS = ("admin", "games", "graphics", "mail", "net", "science", "sound", "text", "x11")
LIBRARIES = (
    "numpy", "scipy", "sklearn", "sqlalchemy", "torch", "torchvision", "transformers", "mypy", "clarifai",
)  # fmt: skip
MANUALS = ("1", "2", "3", "5", "7", "8")
Labelled = list[tuple[str, str]]


def of(name: str, seed: int) -> tuple[Labelled, Labelled]:
    """Texts to learn from and to judge on, subjects as even as there are texts for them; no text of two subjects."""
    by_subject = {subject: set(texts) for subject, texts in SETS[name]().items()}
    subjects = Counter(text for texts in by_subject.values() for text in texts)
    generator = np.random.default_rng(seed)
    wanted = -(-(TRAIN + TEST) // len(by_subject))
    rows = []
    for subject, texts in sorted(by_subject.items()):
        chosen = generator.permutation(sorted(text for text in texts if subjects[text] == 1))[:wanted]
        rows += [(str(text), subject) for text in chosen]
    rows = [rows[place] for place in generator.permutation(len(rows))]
    tested = min(TEST, len(rows) // 5)
    return rows[tested : tested + TRAIN], rows[:tested]


def packages() -> dict[str, list[str]]:
    """Debian's, without what marks one of a family: documentation, debugging symbols, languages."""
    done = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True)
    found = defaultdict(list)
    for record in done.stdout.split("\n\n"):
        fields = dict(re.findall(r"^(Section|Description): (.+)$", record, re.MULTILINE))
        section = fields.get("Section", "").rpartition("/")[2]
        if section in SECTIONS and "Description" in fields:
            found[section].append(re.sub(r"\s*[(-][^(-]*$", "", fields["Description"]) or fields["Description"])
    return found


def docstrings() -> dict[str, list[str]]:
    """First lines, of functions and classes whose names are public; nothing is imported."""
    place = Path(sysconfig.get_paths()["purelib"])
    found = {library: list(_first_lines(place / library)) for library in LIBRARIES}
    return {library: lines for library, lines in found.items() if len(set(lines)) >= 200}


def manuals() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for section in MANUALS:
        files = sorted(Path(f"/usr/share/man/man{section}").glob("*.gz"))
        lines = (_name_line(file) for file in files[:: max(1, len(files) // 1500)])
        found[section] = [line for line in lines if len(line) >= 8]
    return {section: lines for section, lines in found.items() if len(set(lines)) >= 100}


def _first_lines(library: Path) -> Iterator[str]:
    for file in sorted(library.rglob("*.py")):
        if "test" in file.parts or "tests" in file.parts:
            continue
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                line = (ast.get_docstring(node) or "").partition("\n")[0].strip()
                if len(line) >= 15:
                    yield line


def _name_line(file: Path) -> str:
    """What stands after the dash of a page's NAME section, formatting taken away; "" where there is none."""
    with gzip.open(file, "rt", encoding="utf-8", errors="replace") as page:
        text = page.read(20_000)
    section = re.search(r"^\.S[Hh] \"?NAME\"?.*?\n(.*?)(?=^\.S[Hh] )", text, re.MULTILINE | re.DOTALL)
    if section is None:
        return ""
    plain = re.sub(r"^\.\w+ ?|\\f.|\\&|\"", "", section[1], flags=re.MULTILINE).replace("\\-", "-")
    return " ".join(plain.partition(" - ")[2].split())


SETS: dict[str, Callable[[], dict[str, list[str]]]] = {
    "packages": packages,
    "docstrings": docstrings,
    "manuals": manuals,
}
