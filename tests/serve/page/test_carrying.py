"""A task leaves the page and comes back: as code, as a file, by its address."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from on_page import (
    Visit,
    asked_inputs,
    expect,
    get,
    post,
    settled,
    task_url,
    with_example_task,
)
from page_site import Site


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_the_code_answers_the_same(language: str, visit: Visit) -> None:
    """What is copied gives the label and the confidence that the page shows."""
    page = with_example_task(visit, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text(language, exact=True).click()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    program = ["sh"] if language == "curl" else [sys.executable, "-"]
    ran = subprocess.run(program, input=copied, capture_output=True, text=True, check=True)
    if language == "curl":
        found = json.loads(ran.stdout)["predictions"][0]
        label, confidence = found["label"], found["confidence"]
    else:
        label, _, confidence = ran.stdout.strip().rpartition(" ")
    answer = page.locator(".answer").first
    expect(answer.locator(".label span")).to_have_text(
        "not sure" if label in (None, "None") else label
    )
    said = float(answer.get_by_role("meter").get_attribute("aria-valuenow"))
    assert float(confidence) == pytest.approx(said, abs=1e-6)


def test_a_task_travels(visit: Visit, site: Site, tmp_path: Path) -> None:
    """Exported, and imported by a fresh server, it answers the same; a reload keeps it."""
    page = with_example_task(visit)
    asked = {"query": asked_inputs(page)}
    want = post(task_url(page) + ":predict", asked)["predictions"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .task").click()
    download.value.save_as(tmp_path / "mine.task")
    shown = page.locator(".answer .label").all_inner_texts()
    page.reload()
    settled(page)
    assert page.locator(".answer .label").all_inner_texts() == shown
    (tmp_path / "fresh").mkdir()
    fresh = Site(site.runs, tmp_path / "fresh")
    try:
        page.goto(fresh.url)
        expect(page.locator(".class-card").first).to_be_visible()
        page.locator("#import-file").set_input_files(tmp_path / "mine.task")
        expect(page.locator(".class-card [data-example]").first).to_be_visible()
        again = post(task_url(page) + ":predict", asked)["predictions"]
        for one, other in zip(again, want, strict=True):
            assert (one["label"], one["scores"]) == (other["label"], other["scores"])
    finally:
        page.goto("about:blank")
        fresh.stop()


def test_a_task_is_exported_as_onnx(visit: Visit) -> None:
    """The second format is a file too."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    page = with_example_task(visit)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .onnx").click()
    assert download.value.suggested_filename.endswith(".onnx")
    assert Path(download.value.path()).stat().st_size > 1000


def test_deleted_is_deleted(visit: Visit) -> None:
    """After a question back, the task is gone from the server and the address."""
    page = with_example_task(visit)
    url = task_url(page)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    assert get(url)["state"] == "READY"
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".toast")).to_have_text("Deleted.")
    assert "task=" not in page.url
    with pytest.raises(urllib.error.HTTPError) as missing:
        get(url)
    assert missing.value.code == 404
    missing.value.close()
