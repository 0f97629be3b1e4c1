"""Models that are asked for by name, as `quickstudy models` lists them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quickstudy.files.records import JSON
from quickstudy.files.shipped import shipped
from quickstudy.models.model import Model

CARD = "card.json"
"""The file of a shipped run that says what it is, and what was measured."""


@dataclass(frozen=True)
class NamedModel:
    """A model that can be asked for by name.

    Attributes:
        name: The name.
        takes: The modality of its inputs.
        about: What it is good for, in a sentence.
        made: How it was made.
        licence: The licence of its weights.
        n_bytes: Size of its files.
        results: What was measured: plain JSON, a row for each setting.
        run: Its run directory; None for a model that is made without meta-training.
        make: Makes a model that has no run directory, on a device.
    """

    name: str
    takes: str
    about: str
    made: str
    licence: str
    n_bytes: int
    results: Sequence[JSON] = field(default_factory=tuple)
    run: Path | None = None
    make: Callable[[str], Model] | None = None

    def made_on(self, device: str) -> Model:
        """The model, made on a device, where it has no run directory."""
        assert self.make is not None, (
            f"{self.name} has neither a run directory nor a way to make it"
        )
        return self.make(device)

    def to_json(self) -> JSON:
        """Returns plain JSON, without the place on this machine."""
        kept = ("name", "takes", "about", "made", "licence", "n_bytes")
        return {key: getattr(self, key) for key in kept} | {"results": list(self.results)}


def shipped_model(name: str, run: Path) -> NamedModel:
    """The model of a run directory that comes with quickstudy, by the card in it."""
    card = json.loads((run / CARD).read_text(encoding="utf-8"))
    n_bytes = sum(file.stat().st_size for file in run.iterdir())
    return NamedModel(name, **card, n_bytes=n_bytes, run=run)


def named_models() -> dict[str, NamedModel]:
    """All models that have a name, by it."""
    return {name: shipped_model(name, run) for name, run in shipped().items()}


def by_name(run: str | os.PathLike[str]) -> NamedModel | None:
    """The model of this name; None where no model has it, or a folder of the user does."""
    path = Path(run)
    return None if path.is_dir() else named_models().get(str(path))
