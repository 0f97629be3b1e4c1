"""Models that are asked for by name, as `quickstudy models` lists them."""

from __future__ import annotations

import atexit
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from quickstudy.encoders.named import NAMED, Named, package_folder
from quickstudy.files.records import JSON
from quickstudy.files.shipped import shipped
from quickstudy.models.frozen import LINEAR_TABLES, TABLES, frozen, linear_tables, write_run
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

    @property
    def is_here(self) -> bool:
        """Whether all that it needs is installed."""
        named = NAMED.get(self.name)
        if named is None or self.run is not None:
            return True
        tokenizes = named.tokenizer is None or find_spec("tokenizers") is not None
        return tokenizes and package_folder(named) is not None

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


def encoder_model(named: Named) -> NamedModel:
    """The model of an encoder with a name: without meta-training."""
    encoder = named.encoder
    return NamedModel(
        encoder.name,
        encoder.takes,
        f"For {named.says}.",
        "frozen features and logistic regression, whose penalty suits the examples",
        encoder.licence,
        int(1e6 * named.megabytes),
        make=lambda device: frozen(encoder, device=device),
    )


def named_models() -> dict[str, NamedModel]:
    """All models that have a name, by it."""
    by_run = {name: shipped_model(name, run) for name, run in shipped().items()}
    by_encoder = {name: encoder_model(named) for name, named in NAMED.items()}
    linear = NamedModel(
        LINEAR_TABLES,
        "rows",
        "For rows of any table, however large: numbers, names, truth values, missing cells.",
        "standardised columns and logistic regression, whose penalty suits the examples",
        "Apache-2.0",
        0,
        make=linear_tables,
    )
    # A copy of quickstudy without its shipped runs has tables, too.
    tables = replace(linear, name=TABLES)
    return by_encoder | {TABLES: tables, LINEAR_TABLES: linear} | by_run


@cache
def _folder_of_runs() -> Path:
    """A folder for run directories of models without meta-training, until this process ends."""
    folder = mkdtemp(prefix="quickstudy-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def run_directory(named: NamedModel) -> Path:
    """The run directory of a model; of one without meta-training one that is written for it."""
    if named.run is not None:
        return named.run
    folder = _folder_of_runs() / named.name
    if not folder.exists():
        write_run(named.made_on("cpu"), folder)
    return folder


def by_name(run: str | os.PathLike[str]) -> NamedModel | None:
    """The model of this name; None where no model has it, or a folder of the user does."""
    path = Path(run)
    return None if path.is_dir() else named_models().get(str(path))
