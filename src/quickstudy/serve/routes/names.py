"""Paths and their parts."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path
from starlette.convertors import Convertor, register_url_convertor

from quickstudy.serve.schema.requests import EXAMPLE_ID, ID

MODEL: Final = "/v1/models/{model:id}"
TASKS: Final = MODEL + "/tasks"
TASK: Final = TASKS + "/{task:id}"

POLICIES: Final = "/v1/policies"
POLICY: Final = POLICIES + "/{policy:id}"

ModelId = Annotated[str, Path(pattern=ID)]
TaskId = Annotated[str, Path(pattern=ID)]
PolicyId = Annotated[str, Path(pattern=ID)]
ExampleId = Annotated[str, Path(pattern=EXAMPLE_ID)]


class _Id(Convertor[str]):
    """A part without a colon, which begins the verb."""

    regex = "[^/:]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _Id())
