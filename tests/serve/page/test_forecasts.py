"""Series on the page: a pasted history, the picture of what follows, and its numbers."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from on_page import Visit, expect, get, post, revision, task_url, violations
from page_site import Site
from series_runs import WAYS, history_of, make_series

READ = """async (cases) => {
  const { historyOf } = await import("/static/series.js");
  return cases.map(([text, n]) => {
    try {
      return historyOf(text, n);
    } catch (problem) {
      if (!problem.title) throw problem;
      return problem.title;
    }
  });
}"""
PASTED: dict[tuple[str, int], Any] = {
    ("1\n2\n3\n", 1): [1, 2, 3],
    ("Load, total (MW)\n1,5\n2,25\n3", 1): [1.5, 2.25, 3],
    ("1 2 3\n4 5 6", 1): [1, 2, 3, 4, 5, 6],
    ("1, 2, 3, 4", 1): [1, 2, 3, 4],
    ("1,5;2,5;-3", 1): [1.5, 2.5, -3],
    ("date,value\n2024-01-01,12.5\n2024-01-02,13", 1): [12.5, 13],
    ("Datum;Wert\n01.02.2024;12,5\n02.02.2024;1.013,0", 1): [12.5, 1013],
    ("year\tpassengers\n1949\t112\n1950\t118\n1951\t132", 1): [112, 118, 132],
    ('"W1",10,11,12,,,', 1): [10, 11, 12],
    ("W1\t1 200\t1 300,5", 1): [1200, 1300.5],
    ("1,500.5\n1,600", 1): [1500.5, 1600],
    ("\u22121\n$2\n3%", 1): [-1, 2, 3],
    ("x,y\n1,2\n3,4", 2): [[1, 2], [3, 4]],
    ("t\tx\ty\r\n1\t1,5\t2\r\n2\t2,5\t3\r\n", 2): [[1.5, 2], [2.5, 3]],
    ("1 2 3 4", 2): [[1, 2], [3, 4]],
    (" ", 1): "Nothing to add",
    ("\n1\n2\n\n3", 1): "Line 4 is empty",
    ("value\n1\nn/a\n3", 1): "Line 3 does not fit",
    ("a;b\n1;x\n2;3\n4;5", 1): "Line 2 does not fit",
    ("1,500\n1,600", 1): "“1,500” may mean two numbers",
    ("a,b\n1,2\n3,4", 1): "Which column is meant?",
    ("1 2 3", 2): "Line 1 does not fit",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of series and of ways in a plane."""
    folder = tmp_path_factory.mktemp("series")
    runs = [make_series(folder / "seasons"), make_series(folder / "ways", WAYS)]
    site = Site(runs, folder)
    yield site
    site.stop()


def learn(page: Any, text: str) -> None:
    """Pastes a history, and waits for its forecast."""
    before = revision(page)
    page.get_by_role("textbox", name="History").fill(text)
    page.get_by_role("button", name="Learn it").click()
    page.wait_for_function(
        "(before) => Number(document.querySelector('main').dataset.revision) > before", arg=before
    )
    expect(page.locator("#verdict:not([aria-busy])")).to_contain_text("Tried on the last")


def drawn(page: Any, look: str) -> Any:
    """The corners of a line or shade of the picture."""
    return np.array(
        [
            [float(number) for number in corner.split(",")]
            for corner in page.locator(f".fan {look}").get_attribute("points").split()
        ]
    )


def cells(page: Any) -> list[list[float]]:
    """The numbers of the table."""
    rows = page.locator(".numbers tbody tr").all()
    return [
        [float(t.replace("−", "-")) for t in row.locator("td").all_text_contents()] for row in rows
    ]


def test_a_history_is_pasted_and_gone_on_from(visit: Visit) -> None:
    """Its picture and table are what the server says, beside the naive forecasts."""
    page = visit("/?model=seasons")
    assert page.evaluate(READ, [list(case) for case in PASTED]) == list(PASTED.values())
    history = history_of(n=40)
    page.get_by_role("textbox", name="History").fill("1\n2\n3")
    page.get_by_role("button", name="Learn it").click()
    expect(page.get_by_role("alert")).to_contain_text("received 3 values")
    assert revision(page) == 0
    learn(page, "Load\n" + "\n".join(str(value).replace(".", ",") for value in history[:-3]))
    learn(page, "\n".join(map(str, history)))  # the same, and what came since
    examples = get(task_url(page))["examples"]
    assert [each["label"] for each in examples] == [history[i : i + 4] for i in range(8, 37)]
    expect(page.get_by_role("region", name="History")).to_contain_text(
        "40 values, learnt as 29 windows"
    )

    query = {"query": [{"series": history}]}
    (said,) = post(task_url(page) + ":predict", query)["predictions"]
    table = np.array(cells(page))
    columns = [said["label"], said["low"], said["high"], [history[-1]] * 4, history[-4:]]
    np.testing.assert_allclose(table.T, columns, atol=0.1)
    chart = page.get_by_role("img", name="The last 12 values and the forecast. Next: ")
    expect(chart).to_be_visible()
    past, ahead, shade = (drawn(page, look) for look in (".past", ".ahead", ".shade"))
    assert (len(past), len(ahead), len(shade)) == (12, 5, 10)
    assert past[-1].tolist() == ahead[0].tolist()
    scale = np.polyfit(history[-12:], past[:, 1], 1)
    np.testing.assert_allclose(ahead[1:, 1], np.polyval(scale, said["label"]), atol=0.5)
    np.testing.assert_allclose(shade[1:5, 1], np.polyval(scale, said["high"]), atol=0.5)
    for look, values in ((".naive", [history[-1]] * 4), (".seasonal", history[-4:])):
        np.testing.assert_allclose(drawn(page, look)[1:, 1], np.polyval(scale, values), atol=0.5)

    body = [{"series": history[: len(history) - 4 * k], "nearest": 0} for k in (4, 3, 2, 1)]
    url = task_url(page).split("/tasks/")[0] + ":predict"
    labels = [post(url, each)["predictions"][0]["label"] for each in body]
    error = np.abs(np.concatenate(labels) - history[-16:]).mean()
    verdict = page.locator("#verdict .can").inner_text()
    found = re.search(r"last 16 values, it was off by ([\d.]+) on average", verdict)
    assert found
    assert float(found[1]) == pytest.approx(error, rel=0.01)
    assert violations(page) == []

    page.get_by_text("Go on from other numbers").click()
    page.get_by_role("textbox", name="Go on from other numbers").fill("5 6 7 8 7 6 5 4")
    page.get_by_role("button", name="Forecast", exact=True).click()
    expect(page.locator(".answer")).to_have_count(2)
    page.set_viewport_size({"width": 375, "height": 800})
    page.reload()
    page.get_by_role("tab", name="Forecast").click()
    expect(page.locator(".fan")).to_have_count(2)
    wide = "document.documentElement.scrollWidth <= 375"
    assert page.evaluate(wide)


def test_a_way_is_drawn_in_its_plane(visit: Visit) -> None:
    page = visit("/?model=ways", color_scheme="dark")
    history = history_of(2, 20)
    file = "x,y\n" + "\n".join(f"{x},{y}" for x, y in history)
    with page.expect_file_chooser() as chosen:
        page.get_by_role("button", name="Choose a CSV file").click()
    chosen.value.set_files({"name": "way.csv", "mimeType": "text/csv", "buffer": file.encode()})
    expect(page.get_by_role("img", name="The way of the last 9 steps")).to_be_visible()
    expect(page.locator(".fan ellipse.shade")).to_have_count(3)
    expect(page.locator("#verdict")).to_contain_text("“Constant velocity” by")
    step = np.subtract(history[-1], history[-2])
    velocity = [np.add(history[-1], (k + 1) * step).tolist() for k in range(3)]
    np.testing.assert_allclose(np.array(cells(page))[:, [3, 7]], velocity, atol=0.02)
    ahead, naive = drawn(page, "polyline.ahead"), drawn(page, ".naive")
    assert ahead[0].tolist() == naive[0].tolist()
    assert (len(ahead), len(naive)) == (4, 4)
    across, up = (np.abs(naive[-1] - naive[0]) / np.abs(3 * step)).tolist()
    assert across == pytest.approx(up, rel=0.05)  # one scale for both axes
    assert violations(page) == []

    page.get_by_role("link", name="API").click()
    for operation, n in {"predict_once": 4, "create_task": None, "add_examples": None}.items():
        page.locator(f"#{operation} > summary").click()
        code = page.locator(f"#{operation} pre").filter(has_text="curl")
        expect(code).to_contain_text('"series"')
        line = code.text_content()
        if n:
            ran = subprocess.run(["sh"], input=line, capture_output=True, text=True, check=True)
            assert len(json.loads(ran.stdout)["predictions"][0]["label"]) == n
