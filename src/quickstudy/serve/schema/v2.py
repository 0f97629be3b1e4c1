"""Bodies of the KServe V2 protocol."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints

from quickstudy.serve.limits import MAX_NAME
from quickstudy.serve.schema.answered import Answered
from quickstudy.serve.schema.requests import Body, Nested


def _with_data(schema: dict[str, Any]) -> None:
    """Describes tensors as they are in JSON: with data."""
    about = schema["properties"]["data"]
    about |= about.pop("anyOf")[0]
    del about["default"]
    schema["required"].append("data")


class Tensor(Body):
    """A tensor of the KServe V2 protocol; its elements flat or nested, in row-major order.

    Where its data are binary, after the JSON, it has the parameter `binary_data_size` in place of
    `data`.
    """

    model_config = ConfigDict(json_schema_extra=_with_data)

    name: Annotated[str, StringConstraints(max_length=MAX_NAME)]
    shape: list[Annotated[int, Field(ge=0, le=2**31 - 1)]] = Field(min_length=1, max_length=9)
    datatype: Annotated[
        str, StringConstraints(pattern="^(BOOL|BYTES|FP(16|32|64)|U?INT(8|16|32|64))$")
    ]
    parameters: dict[str, str | float | bool] | None = None
    data: Nested | None = None


class Wish(Body):
    name: str
    parameters: dict[str, str | float | bool] | None = None


class InferBody(Body):
    id: Annotated[str, StringConstraints(max_length=MAX_NAME)] | None = None
    parameters: dict[str, str | float | bool] | None = None
    inputs: list[Tensor] = Field(min_length=1, max_length=3)
    outputs: list[Wish] | None = None


class TensorKind(Answered):
    name: str
    datatype: str
    shape: list[int] = Field(description="-1 where it is for the request to say.")


class InferServer(Answered):
    name: str
    version: str
    extensions: list[str]


class InferModel(Answered):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorKind]
    outputs: list[TensorKind]


class Live(Answered):
    live: bool


class InferReady(Live):
    ready: bool


class InferAnswer(Answered):
    model_name: str
    model_version: str
    id: str | None
    outputs: list[Tensor]


class IndexBody(Body):
    """Whether only models that are ready are asked for."""

    ready: bool = False


class Indexed(Answered):
    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str
