"""Bodies of requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from quickstudy.inputs.kind import Form
from quickstudy.serve.limits import (
    MAX_CELL,
    MAX_CLASSES,
    MAX_COLUMNS,
    MAX_DRAWN,
    MAX_EXAMPLES,
    MAX_LABEL,
    MAX_NAME,
    MAX_NEAREST,
    MAX_QUERY,
    MAX_QUESTIONS,
    MAX_RECOMMENDED,
    MAX_SERIES,
    MAX_SMILES,
    MAX_SPANS,
    MAX_TEXT,
)

FORMS: Final = ("image", "row", "text", "series", "item", "smiles", "values")
# No control characters: a database cannot keep all of them, and no reader sees them.
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
ID = r"^[a-z][a-z0-9-]{0,62}$"
EXAMPLE_ID = r"^e[1-9][0-9]{0,11}$"
TTL = r"^[0-9]{1,9}s$"

Label = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_LABEL, pattern=r"^[^\x00-\x1f\x7f]+$")
]
DisplayName = Annotated[str, StringConstraints(max_length=MAX_NAME, pattern=PRINTABLE)]
Confidence = Annotated[float, Field(ge=0, le=1)]
Ttl = Annotated[str, StringConstraints(pattern=TTL)]
Cell = Annotated[str, StringConstraints(max_length=MAX_CELL, pattern=PRINTABLE)] | float | None
ExampleId = Annotated[str, StringConstraints(pattern=EXAMPLE_ID)]
# What is in them is checked against the shape that they must have, which ends at the first mistake:
# a body may hold millions.
Nested = Annotated[
    list[Any],
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "anyOf": [{"type": "number"}, {"type": "string"}, {"type": "array", "items": {}}]
            },
        }
    ),
]
Numbers = Annotated[
    list[Any],
    WithJsonSchema(
        {"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "array", "items": {}}]}}
    ),
]
Series = Annotated[
    list[Any],
    Field(min_length=1, max_length=MAX_SERIES),
    WithJsonSchema(
        {
            "type": "array",
            "items": {
                "anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]
            },
            "minItems": 1,
            "maxItems": MAX_SERIES,
        }
    ),
]
Item = (
    Annotated[str, StringConstraints(min_length=1, max_length=MAX_CELL, pattern=PRINTABLE)]
    | Annotated[int, Field(ge=-(2**63), lt=2**63)]
)
Smiles = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_SMILES, pattern=r"^[\x21-\x7e]+$")
]
Values = Annotated[list[float], Field(min_length=1, max_length=MAX_COLUMNS)]
Span = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]
Wanted = Label | float | Values
Target = str | float | list[float]


class Body(BaseModel):
    """The body of a request: nothing unknown, nothing converted, nothing but finite numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Picture(Body):
    b64: str = Field(description="PNG, JPEG, WebP or BMP file in base64.")


def _exactly_one(schema: dict[str, Any]) -> None:
    """Says of a schema that one of the forms of an input is there, and is not null."""
    for form in (*FORMS, "spans"):
        about = schema["properties"][form]
        *said, _ = about.pop("anyOf")  # the last is null
        about |= said[0] if len(said) == 1 else {"anyOf": said}
        del about["default"]
    schema["oneOf"] = [{"required": [form]} for form in FORMS]


class Input(Body):
    """One input as the model takes it, in one of these forms."""

    model_config = ConfigDict(json_schema_extra=_exactly_one)

    image: Picture | None = None
    row: dict[Annotated[str, StringConstraints(max_length=MAX_LABEL)], Cell] | None = Field(
        default=None, max_length=MAX_COLUMNS
    )
    text: Annotated[str, StringConstraints(max_length=MAX_TEXT)] | None = None
    spans: Annotated[list[Span], Field(min_length=1, max_length=MAX_SPANS)] | None = Field(
        default=None,
        description="Of a text: first character of each marked entity, and the one after its last.",
    )
    series: Series | None = Field(
        default=None,
        description="Numbers in the order of time, or a list of numbers a time where the model has "
        "several channels; at least as many times as its `lags`, of which the last ones count.",
    )
    item: Item | None = Field(
        default=None, description="The id of an item of the catalogue, or its title."
    )
    smiles: Smiles | None = Field(default=None, description="A molecule as SMILES.")
    values: Numbers | None = None

    @property
    def form(self) -> tuple[Form, Any]:
        """The form in which it is given, and the JSON in that form."""
        if self.image is not None:
            return "image", {"b64": self.image.b64}
        if self.text is not None:
            spans = {} if self.spans is None else {"spans": self.spans}
            return "text", {"text": self.text} | spans
        if self.series is not None:
            return "series", self.series
        if self.item is not None:
            return "item", self.item
        if self.smiles is not None:
            return "smiles", self.smiles
        return ("values", self.values) if self.row is None else ("row", self.row)

    @model_validator(mode="after")
    def _one_of_them(self) -> Input:
        given = [form for form in FORMS if form in self.model_fields_set]
        if len(given) != 1 or getattr(self, given[0]) is None:
            raise ValueError(f"expected exactly one of {', '.join(FORMS)}")
        if "spans" in self.model_fields_set and self.text is None:
            raise ValueError("spans are places in a text; expected a text beside them")
        return self


class Example(Input):
    """An input and what it is: a class, or in regression its value or values."""

    label: Wanted = Field(
        description="A class; in regression a value, or a list of them; of an item its rating. Of "
        "a series what follows it, in the order of time, the channels of a time side by side, in "
        "one list: `[x1, y1, x2, y2]`."
    )


class PredictBody(Body):
    query: list[Input] = Field(min_length=1, max_length=MAX_QUERY)
    min_confidence: Confidence | None = None
    nearest: Annotated[int, Field(ge=0, le=MAX_NEAREST)] = Field(
        default=3, description="Nearest examples that each prediction names."
    )


HISTORY: Final = (
    "Of a model of series, a whole history: each of its windows is an example, with what follows "
    "it as its label. Of more than fit the latest are taken, which `notes` says."
)


def _or_series(*required: str) -> Callable[[dict[str, Any]], None]:
    """Says of a schema that these are required, or else a series."""

    def described(schema: dict[str, Any]) -> None:
        about = schema["properties"]["series"]
        about |= about.pop("anyOf")[0]
        del about["default"]
        schema["anyOf"] = [{"required": [*required]}, {"required": ["series"]}]

    return described


class StatelessBody(PredictBody):
    """Examples and queries; or a series, of which what follows its end is asked without a query."""

    model_config = ConfigDict(json_schema_extra=_or_series("query", "support"))

    query: list[Input] = Field(default_factory=list, min_length=1, max_length=MAX_QUERY)
    support: list[Example] = Field(default_factory=list, min_length=1, max_length=MAX_EXAMPLES)
    series: Series | None = Field(default=None, description=HISTORY)


class CreateBody(Body):
    display_name: DisplayName = ""
    classes: list[Label] = Field(default=[], max_length=MAX_CLASSES)
    support: list[Example] = Field(default=[], max_length=MAX_EXAMPLES)
    series: Series | None = Field(default=None, description=HISTORY)
    ttl: Ttl | None = None
    min_confidence: Confidence | None = None


class ExamplesBody(Body):
    """Examples, or a series, whose windows are examples."""

    model_config = ConfigDict(json_schema_extra=_or_series("examples"))

    examples: list[Example] = Field(default_factory=list, min_length=1, max_length=MAX_EXAMPLES)
    series: Series | None = Field(default=None, description=HISTORY)


class RecommendBody(Body):
    n: Annotated[int, Field(ge=1, le=MAX_RECOMMENDED)] = Field(
        default=10, description="How many items are wanted."
    )


class RecommendOnceBody(RecommendBody):
    """The ratings of one user: items, each with its rating as label."""

    support: list[Example] = Field(min_length=1, max_length=MAX_EXAMPLES)


class QuestionsBody(Body):
    n: Annotated[int, Field(ge=1, le=MAX_QUESTIONS)] = Field(
        default=5, description="How many items the user is to be asked about."
    )


class EvaluateBody(Body):
    query: list[Example] = Field(min_length=1, max_length=MAX_QUERY)


class ExplainBody(Body):
    query: Input


class DrawBody(Body):
    """Molecules of which the structures are wanted."""

    smiles: list[Smiles] = Field(min_length=1, max_length=MAX_DRAWN)


class MapBody(Body):
    query: list[Input] = Field(default=[], max_length=MAX_QUERY)


class PatchBody(Body):
    """A partial update: fields that are left out stay as they are."""

    display_name: DisplayName = ""
    classes: list[Label] = Field(default=[], max_length=MAX_CLASSES)
    ttl: Ttl | None = None
    min_confidence: Confidence | None = None


class RelabelBody(Body):
    examples: dict[ExampleId, Wanted] = Field(min_length=1, max_length=MAX_EXAMPLES)


class RenameClassBody(Body):
    from_: Label = Field(alias="from")
    to: Label


class RemoveClassBody(Body):
    label: Label


class EmptyBody(Body):
    """Nothing, or an empty object."""
