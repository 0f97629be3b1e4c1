"""The lab: how a served model was meta-trained and how good it is.

Reports are made once a run, and anew after each evaluation.
"""

from __future__ import annotations

import threading
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from quickstudy.serve.call import Call
from quickstudy.serve.routes.files import filled
from quickstudy.serve.routes.names import MODEL, ModelId
from quickstudy.serve.served import EVALUATION, Served


class Lab:
    """A cache of the reports on the served models, made anew after each evaluation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # matplotlib's settings are those of the process
        self._reports: dict[Path, tuple[float, str]] = {}

    def __call__(self, served: Served) -> str:
        """The report on a model, as HTML."""
        # A server starts sooner without matplotlib, which most of them never need.
        from quickstudy.serve.lab_report import report

        evaluation = served.run / EVALUATION
        modified = evaluation.stat().st_mtime if evaluation.is_file() else 0.0
        with self._lock:
            if self._reports.get(served.run, (None, ""))[0] != modified:
                self._reports[served.run] = (modified, report(served))
            return self._reports[served.run][1]


router = APIRouter(include_in_schema=False)
reports = Lab()


@router.get("/lab/{model:id}")
def page() -> Response:
    """The page of a report; it asks for the report itself."""
    return filled("lab.html", "../")


@router.get(MODEL + "/lab")
def get_report(request: Request, model: ModelId) -> Response:
    """The report on a model, as HTML for the page."""
    return HTMLResponse(reports(Call(request).about(model).served))
