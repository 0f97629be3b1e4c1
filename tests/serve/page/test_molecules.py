"""Molecules on the page: SMILES are pasted, structures drawn, candidates ranked by neighbours."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from on_page import Visit, expect
from page_site import Site

pytest.importorskip("rdkit", reason="needs RDKit: pip install 'quickstudy[molecules]'")

from molecule_runs import make_screen


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("screen")
    site = Site([make_screen(folder / "screen")], folder)
    yield site
    site.stop()


def teach(page: object, label: str, smiles: list[str]) -> None:
    card = page.locator(f"#classes [data-label={label}]")  # type: ignore[attr-defined]
    card.locator("textarea:not(.name)").fill("\n".join(smiles))
    card.get_by_role("button", name="Add", exact=True).click()
    expect(card.locator("[data-example]")).to_have_count(len(smiles))


@pytest.mark.more
def test_candidates_come_back_ranked_beside_their_neighbours(visit: Visit) -> None:
    page = visit("/?model=screen")
    expect(page.locator("#classes [data-label]")).to_have_count(2)
    expect(page.locator("#add-class")).to_be_hidden()
    teach(page, "active", ["CCO", "CCCO", "CC(C)O"])
    teach(page, "inactive", ["CCC", "c1ccccc1", "CCCl"])
    drawn = page.locator("#classes img.structure")
    expect(drawn).to_have_count(6)
    expect(drawn.first).to_have_attribute("src", re.compile("^data:image/svg"))
    ask = page.locator("#ask textarea")
    ask.fill("CCCCC\nCCCCO butanol\nC[Si](C)(C)C")
    page.locator("#ask .gather button").first.click()
    answers = page.locator("#answers > li")
    expect(answers).to_have_count(3)
    expect(answers.locator(".label").first).to_contain_text("active")
    said = answers.locator(".label").all_inner_texts()
    shares = [int(text.split()[0].rstrip("%")) for text in said]
    assert shares == sorted(shares, reverse=True)
    expect(page.locator("#answers")).to_contain_text("Nothing like it was taught")
    expect(page.locator("#answers .known img.structure")).to_have_count(3)
    ask.fill("C1CC")
    page.locator("#ask .gather button").first.click()
    expect(page.locator("#ask-alerts")).to_contain_text("C1CC")
