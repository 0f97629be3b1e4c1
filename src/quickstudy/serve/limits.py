"""Limits on what one client may ask of the server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from quickstudy.errors import UserError
from quickstudy.inputs.pixels import MAX_UPLOAD_PIXELS, UPLOAD_FORMATS

# Part of the published schema, so the same for every server.
MAX_EXAMPLES: Final = 1000  # of a task
MAX_CLASSES: Final = 200
MAX_LABEL: Final = 200  # characters
MAX_NAME: Final = 200  # characters of a display name
MAX_NEAREST: Final = 50  # examples that a prediction names
MAX_QUERY: Final = 256  # inputs of a request
MAX_COLUMNS: Final = 1000  # of a row
MAX_CELL: Final = 1000  # characters of a value of a row
MAX_TEXT: Final = 20_000  # characters
MAX_SPANS: Final = 8  # marked entities of a text
MAX_SMILES: Final = 2_000  # characters of a SMILES
MAX_DRAWN: Final = 100  # structures of one answer
MAX_SERIES: Final = 100_000  # times of a series
MAX_RECOMMENDED: Final = 100  # items of a ranked list
MAX_QUESTIONS: Final = 20  # items that a user is asked about
MAX_ROUNDS: Final = 20  # of episodes that a policy learns from in a request
MAX_EPISODES: Final = 1000  # of a round
MAX_STEPS: Final = 2000  # of an episode
MAX_REVISIONS: Final = 50  # that a task keeps
MAX_PAGE: Final = 100  # tasks of a page
MAX_TTL: Final = 10 * 365 * 24 * 3600  # seconds


@dataclass(frozen=True)
class Limits:
    """Limits that are set when the server starts.

    Args:
        body_bytes: Of the body of a request.
        bodies_bytes: Of all bodies that are being received or answered at one time.
        tasks: Tasks that a tenant may have of all models.
        request_pixels: Of all pictures of a request.
        client_pixels: Of all pictures of a client that are being read at one time.
        requests: Requests that are being answered at one time.
        connections: Connections that are open before those that wait for their client are closed.
        header_seconds: Seconds that a client may take for the headers of a request.
        body_seconds: Seconds that it may take for the body, and one more for each 32 KiB.
        idle_seconds: Seconds that a connection is kept between requests; a proxy's must be fewer.
        queue: Requests that may wait for the processor.
        wait: Seconds that a request may wait for it.
        cache_bytes: Memory for adapted models.
        features_bytes: Memory for features of inputs, where a frozen encoder computes them.

    Raises:
        UserError: One is not above 0.
    """

    body_bytes: int = 16 * 2**20
    bodies_bytes: int = 128 * 2**20
    tasks: int = 10_000
    request_pixels: int = 128_000_000
    client_pixels: int = 256_000_000
    requests: int = 256
    connections: int = 512
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    queue: int = 128
    wait: float = 30.0
    cache_bytes: int = 256 * 2**20
    features_bytes: int = 64 * 2**20

    def __post_init__(self) -> None:
        wrong = [name for name, value in asdict(self).items() if not value > 0]
        if wrong:
            raise UserError(
                f"limits: must be above 0; received other values for {', '.join(wrong)}; raise "
                "them."
            )

    def published(self) -> dict[str, Any]:
        """All limits by name, as `/v1/limits` gives them."""
        return {
            "body_bytes": self.body_bytes,
            "tasks": self.tasks,
            "examples": MAX_EXAMPLES,
            "classes": MAX_CLASSES,
            "label_characters": MAX_LABEL,
            "display_name_characters": MAX_NAME,
            "query": MAX_QUERY,
            "columns": MAX_COLUMNS,
            "cell_characters": MAX_CELL,
            "text_characters": MAX_TEXT,
            "series_times": MAX_SERIES,
            "recommendations": MAX_RECOMMENDED,
            "questions": MAX_QUESTIONS,
            "rounds": MAX_ROUNDS,
            "episodes": MAX_EPISODES,
            "steps": MAX_STEPS,
            "revisions": MAX_REVISIONS,
            "page_size": MAX_PAGE,
            "ttl_seconds": MAX_TTL,
            "picture_pixels": MAX_UPLOAD_PIXELS,
            "request_pixels": self.request_pixels,
            "client_pixels": self.client_pixels,
            "picture_formats": list(UPLOAD_FORMATS),
        }
