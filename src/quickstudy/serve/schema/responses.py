"""Bodies of responses."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from quickstudy.serve.schema.answered import Answered
from quickstudy.serve.schema.molecules import Screened
from quickstudy.serve.schema.requests import Target


class Neighbour(Answered):
    id: str
    label: Target
    similarity: float = Field(description="1 for the same place, 1/2 for a typical distance.")


class Prediction(Answered):
    label: Target | None = Field(
        description="The class; null where the server abstains; the value or values in regression."
    )
    confidence: float | None = Field(description="Probability of the class; null in regression.")
    low: float | list[float] | None = Field(
        default=None,
        description="Lower end of the central 80 % interval of each value, in its unit; null where "
        "the model gives no distribution, and in classification.",
    )
    high: float | list[float] | None = Field(
        default=None, description="Upper end of the central 80 % interval."
    )
    scores: dict[str, float] = Field(description="Probability of each class that has examples.")
    abstained: bool
    novelty: float | None = Field(
        description="How unlike all that was taught: above 1 most likely of none of the classes; "
        "null where the model cannot tell.",
    )
    nearest: list[Neighbour]
    molecule: Screened | None = Field(default=None, description="Of a model of molecules.")


class StatelessAnswer(Answered):
    model_version: str
    predictions: list[Prediction]
    notes: list[str] = Field(
        default=[], description="On inputs that are not read whole, for people."
    )


class Answer(StatelessAnswer):
    task_revision: int
    adapt_ms: float = Field(description="0 where the adapted model was at hand.")
    predict_ms: float


class CatalogueItem(Answered):
    item: str = Field(description="Its id.")
    title: str
    mean: float = Field(
        description="Its mean rating by everybody, shrunk to that of all items where few rated it."
    )
    n_ratings: int = Field(description="How many people of meta-training rated it.")


class Catalogue(Answered):
    items: list[CatalogueItem]
    n_items: int = Field(description="How many there are, with those that are not shown.")


class Reason(Answered):
    id: str = Field(description="The example: a rating of the user.")
    item: str
    title: str
    label: Target = Field(description="The rating.")
    value: float = Field(description="What it adds to the rating that is expected.")


class Recommendation(CatalogueItem):
    rating: float = Field(description="The rating that is expected, within the scale.")
    low: float | None = Field(
        description="Lower end of its central 80 % interval, within the scale; null where the "
        "model gives no distribution."
    )
    high: float | None = Field(description="Upper end of the interval.")
    score: float = Field(
        description="What the list is ordered by: the rating, where it may be beyond the scale."
    )
    place: int = Field(description="Place in the list, from 1.")
    place_by_mean: int = Field(description="Place in the list that everybody gets, by `mean`.")
    start: float | None = Field(
        description="What every new user is expected to differ by from `mean`."
    )
    because: list[Reason] | None = Field(
        description="The ratings of the user, what adds most first: `score` is the sum of `mean`, "
        "`start` and their values. Null where the learner's answers are no such sum."
    )


class RecommendedOnce(Answered):
    model_version: str
    recommendations: list[Recommendation] = Field(description="Best first, without rated items.")
    by_mean: list[CatalogueItem] = Field(
        description="What everybody gets: the same number of items by `mean`."
    )


class Recommended(RecommendedOnce):
    task_revision: int


class QuestionsAnswer(Answered):
    model_version: str
    items: list[CatalogueItem] = Field(description="The most telling first.")
    by: Literal["posterior", "spread"] = Field(
        description="What they are chosen by: the variance that their ratings are expected to take "
        "away, or the spread of the ratings that they have."
    )


class Influence(Answered):
    id: str
    value: float | None


class Suspect(Answered):
    id: str
    label: Target
    probability: float | None
    error: float | None
    suggested: Target | None


class Word(Answered):
    start: int = Field(description="Its first character.")
    end: int = Field(description="The character after its last.")
    text: str
    value: float | None = Field(
        description="By how much the log-odds of the answer, or its value, fall without it; null "
        "where it cannot be left out."
    )


class Words(Answered):
    text: str = Field(description="As far as the encoder reads it.")
    words: list[Word]


class Explanation(Answered):
    task_revision: int
    target: str | int
    prediction: Prediction
    space: Literal["features", "inputs"]
    nearest: list[Neighbour]
    influence: list[Influence]
    contributions_of: Literal["logit", "probability", "value"] | None
    contributions: list[Influence] | None = Field(
        description="What each example is of the answer, which is their sum; of ratings, what each "
        "adds to the mean of the item and the level of new users."
    )
    attention: list[Influence] | None
    suspicious: list[Suspect]
    words: Words | None = Field(default=None, description="Of a text: its words.")


class QualityAnswer(Answered):
    metric: Literal["accuracy", "mse"] | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    folds: int | None = None
    naive: float | None = Field(
        default=None,
        description="The same of what is said without learning, such as the mean of an item; null "
        "where there is none.",
    )
    warning: str | None = None
    reason: str | None = Field(default=None, description="Why nothing was measured.")
    suspicious: list[Suspect]


class Measured(Answered):
    task_revision: int
    metric: Literal["accuracy", "mse"]
    value: float | None
    low: float | None
    high: float | None
    n: int
    log_likelihood: float | None
    confusion: dict[str, dict[str, int]] | None


class Point(Answered):
    id: str | None
    query: int | None
    label: Target | None
    x: float
    y: float


class Map(Answered):
    task_revision: int
    points: list[Point]


class ClassOfTask(Answered):
    label: str
    shots: int


class ExampleOfTask(Answered):
    id: str
    label: Target


class FullExample(ExampleOfTask):
    input: dict[str, Any] = Field(description="As a request gives it.")
    title: str | None = Field(default=None, description="The title of an item.")


class TaskFields(Answered):
    name: str
    id: str
    display_name: str
    revision: int
    state: Literal["READY", "NEEDS_EXAMPLES"]
    needs: str | None = Field(description="What it lacks to predict.")
    model_version: str
    classes: list[ClassOfTask]
    min_confidence: float | None
    support_digest: str
    adapt_ms: float
    state_bytes: int
    create_time: str
    update_time: str
    expire_time: str | None
    notes: list[str] = Field(
        default=[], description="On inputs of this request that are not read whole, for people."
    )


class Task(TaskFields):
    examples: list[ExampleOfTask]


class FullTask(TaskFields):
    examples: list[FullExample]


class ExampleTask(Task):
    suggested_queries: list[dict[str, Any]]


class TaskPage(Answered):
    tasks: list[Task]
    next_page_token: str = Field(description="Empty on the last page.")


class Revision(Answered):
    revision: int
    create_time: str
    change: str
    n_examples: int


class Revisions(Answered):
    revisions: list[Revision]


class LimitsAnswer(Answered):
    body_bytes: int
    tasks: int
    examples: int
    classes: int
    label_characters: int
    display_name_characters: int
    query: int
    columns: int
    cell_characters: int
    text_characters: int
    series_times: int
    recommendations: int
    questions: int
    rounds: int = Field(description="Of episodes that a policy learns from in a request.")
    episodes: int = Field(description="Of a round.")
    steps: int = Field(description="Of an episode.")
    revisions: int
    page_size: int
    ttl_seconds: int
    picture_pixels: int
    request_pixels: int = Field(description="Of all pictures of a request.")
    client_pixels: int = Field(description="Of all pictures of a client read at one time.")
    picture_formats: list[str]


class EncoderCard(Answered):
    name: str
    source: str
    licence: str
    digest: str = Field(description="A sha256 of all that decides its features.")
    n_features: int
    max_tokens: int | None = Field(
        description="Tokens of a text that are read, a word or part of one each."
    )
    spans: int = Field(description="Marked entities that a text must have.")
    languages: list[str]


class SeriesCard(Answered):
    lags: int = Field(description="Times at the end of a series that an answer is of.")
    horizon: int = Field(description="Times that an answer is about: those that follow.")
    channels: list[str] = Field(description="Names of the numbers at each time.")
    season: int = Field(description="Times of a season; 1 where there is none.")
    stride: int = Field(description="Times from one window of a history to the next.")
    layout: Literal["series", "tracks"] = Field(
        description="Tracks are ways in a plane, whose channels are its two axes."
    )


class ItemsCard(Answered):
    n_items: int = Field(description="Items of the catalogue.")
    low: float = Field(description="The least rating.")
    high: float = Field(description="The greatest rating.")
    most_rated: str = Field(description="The id of the item that most people rated.")


class ModelCard(Answered):
    name: str
    id: str
    modality: Literal["pictures", "rows", "texts", "series", "items", "molecules", "arrays"]
    kind: Literal["classification", "regression"]
    learner: str
    net: str | None
    version: str
    x_shape: list[int]
    columns: list[str] | None
    drawings: bool = Field(description="The model looks for ink in pictures.")
    encoder: EncoderCard | None = Field(
        default=None, description="The frozen pretrained network that inputs go through."
    )
    series: SeriesCard | None = Field(
        default=None, description="How much of a series the model takes, and what it answers."
    )
    items: ItemsCard | None = Field(default=None, description="The catalogue and its scale.")
    caution: str | None = Field(
        default=None, description="A sentence that stands with all that the model says."
    )
    worst_site: str | None = Field(
        default=None, description="The site with the worst result of the last evaluation."
    )
    temperature: float
    novelty_auroc: float | None = Field(
        description="How well `novelty` told taught classes from others on meta-valid tasks; null "
        "where the model cannot tell.",
    )
    example_task: bool
    limits: LimitsAnswer


class Health(Answered):
    status: Literal["ok"]


class Models(Answered):
    models: list[ModelCard]


class ProblemError(Answered):
    pointer: str
    detail: str


class ProblemBody(BaseModel):
    """RFC 9457, with a reason that programs can read."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    reason: str
    request_id: str
    errors: list[ProblemError]
    error: str = Field(default="", description="The detail again, on the paths of KServe V2.")
