"""CoNLL: a word per line, its tag in the last column, an empty line after each sentence. Next: `shapes`.

Tags are O, B-NAME, I-NAME, and E-NAME, S-NAME (IOB1, IOB2 and IOBES alike). A sentence's text is its words with spaces
between them; an entity is a span of its characters. Format: Tjong Kim Sang & De Meulder, CoNLL 2003.
"""

from pathlib import Path

from luthier.data.readers.csv import checked_name
from luthier.data.readers.csv_rows import Problems
from luthier.data.readers.found import ReadResult, Rejected
from luthier.data.readers.splitting import SPLIT_NAMES
from luthier.data.readers.text_files import read_text
from luthier.errors import InvalidRequest, shown
from luthier.runs.manifest import Example, Region

ENDINGS = (".conll", ".iob", ".iob2", ".bio")

Word = tuple[int, str, str]  # line, word, tag


def files_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS and path.is_file()]


def drafts(path: Path, result: ReadResult, keep_good: bool = False) -> list[Example]:
    """An example per sentence. Raises InvalidRequest naming the lines that cannot be read, unless `keep_good`."""
    problems, examples = Problems(path), []
    split = SPLIT_NAMES.get(path.stem.lower(), "")
    for words in _sentences(read_text(path), problems):
        try:
            examples.append(_example(words, path.stem, split))
        except InvalidRequest as error:
            problems.add(words[0][0], error.details)
    if not keep_good:
        problems.refuse()
    result.rejected += [Rejected(f"line {number}", reason) for number, reason in sorted(problems.rows.items())]
    result.unnamed |= {example.id for example in examples}
    return examples


def drafts_of_folder(folder: Path, result: ReadResult) -> list[Example]:
    return [example for path in files_in(folder) for example in drafts(path, result)]


def _sentences(text: str, problems: Problems) -> list[list[Word]]:
    sentences: list[list[Word]] = [[]]
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.strip().split("\t") if "\t" in line.strip() else line.split()
        if not cells or cells == [""] or cells[0] == "-DOCSTART-" or line.startswith("# "):
            sentences.append([])
        elif len(cells) < 2 or not cells[0]:
            problems.add(number, f"{shown(line.strip())} has one column; give a word and, last, its tag")
        else:
            sentences[-1].append((number, cells[0], cells[-1]))
    return [sentence for sentence in sentences if sentence]


def _example(words: list[Word], name: str, split: str) -> Example:
    regions: list[Region] = []
    at, open_concept = 0, ""
    for number, word, tag in words:
        mark, dash, concept = tag.partition("-")
        if tag != "O" and (mark not in ("B", "I", "E", "S") or not dash or not concept):
            raise InvalidRequest(f"line {number} has the tag {shown(tag)}; give O, or B- or I- and a name")
        concept = checked_name(concept) if concept else ""
        if tag != "O" and mark in ("I", "E") and concept == open_concept:
            start = regions.pop().points[0]
            regions.append(Region("span", concept, (start, at + len(word))))
        elif tag != "O":
            regions.append(Region("span", concept, (at, at + len(word))))
        open_concept = concept if mark in ("B", "I") else ""
        at += len(word) + 1
    text = " ".join(word for _, word, _ in words)
    return Example(f"{name}-{words[0][0]}", "", split, text=text, regions=tuple(regions))
