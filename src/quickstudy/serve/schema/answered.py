"""The base of the bodies of responses."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Answered(BaseModel):
    """The body of a response: all of it is always there."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)
