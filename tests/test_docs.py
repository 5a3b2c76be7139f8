"""The pages in docs/reference are what the code says today, and links between the pages lead somewhere."""

import re
from pathlib import Path

import pytest

from luthier.catalog.model_type import all_templates
from luthier.commands.reference_docs import FOLDER, pages

DOCS = FOLDER.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)\s]*)?\)")


@pytest.mark.parametrize("name", sorted(pages()))
def test_reference_page_is_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == pages()[name], f"docs/reference/{name} is behind the code: run `make docs`"


def test_every_template_has_its_section() -> None:
    text = pages()["templates.md"]
    for template in all_templates():
        assert re.search(rf"^### {re.escape(template.id)}( \(|$)", text, re.MULTILINE), template.id


def test_metrics_to_choose_from_stand_with_each_template() -> None:
    shared, *sections = re.split(r"^### ", pages()["templates.md"], flags=re.MULTILINE)
    assert re.search(r"`early_stopping_metric` \| ENUM \| see the template \|", shared)
    for start, metric in (("luthier_flan_t5_small", "rouge_l"), ("luthier_tiny_detector", "map75")):
        section = next(section for section in sections if section.startswith(start))
        assert re.search(rf'`early_stopping_metric` "automatic" \(one of automatic, [^)]*{metric}', section)


def test_tables_keep_their_columns() -> None:
    for name, text in pages().items():
        columns = 0
        for line in text.splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            assert columns in (0, cells) or not cells, f"{name}: {line}"
            columns = cells


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
