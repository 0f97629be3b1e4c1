"""`quickstudy train`: meta-trains a learner."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quickstudy import catalog
from quickstudy.batching.processes import joined, json_from_first, world
from quickstudy.cli.options import train_parser, value_of
from quickstudy.errors import UserError
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import spelling
from quickstudy.training.plan import changed, flat, hyphened, run_training
from quickstudy.training.resuming import MAY_CHANGE


def train(argv: Sequence[str]) -> int:
    """Meta-train a learner on many tasks."""
    with joined():
        return _train(argv)


def _train(argv: Sequence[str]) -> int:
    resume = value_of(argv, "--resume")
    auto = resume == "auto"
    recorded: dict[str, Any] = {}
    words = list(argv)
    if resume is not None and not auto:
        run = RunDirectory(resume)
        recorded = json_from_first(lambda: run.read().get("config")) or {}
        if not recorded:
            raise UserError(
                f"train --resume {resume}: needs a run that the command line began; received one "
                "begun in Python; resume it there, with train(..., resume=True)."
            )
        names = {kind: recorded[kind]["name"] for kind in ("learner", "tasks", "net")}
        words = [*(f"--{kind}={name}" for kind, name in names.items() if name), *words]
    parser = train_parser(words)
    begun = flat({k: v for k, v in recorded.items() if k != "out"})
    # Another version may have listed other options of networks, which nobody gave.
    unsaid = {k for k, v in begun.items() if v is None and k.startswith("net.")}
    parser.set_defaults({k: v for k, v in begun.items() if k not in unsaid})
    options = parser.read(words).as_dict()
    options.pop("config", None)
    if resume is not None and not auto:
        if options["out"] is not None and Path(options["out"]).resolve() != run.path.resolve():
            raise UserError(
                f"train --resume {resume}: a run goes on in its own folder; received --out "
                f"{options['out']}; leave one of them out."
            )
        options |= {"out": str(resume)}
        if others := changed(recorded, options):
            raise UserError(
                f"train --resume: only {', '.join(map(hyphened, MAY_CHANGE))} may change; received "
                f"{', '.join(map(hyphened, others))}; begin a new run with --out for other "
                "settings."
            )
    elif options["out"] is None:
        raise UserError("train: needs a folder for the run; received none; give --out runs/mine.")
    if "net" not in inspect.signature(catalog.LEARNERS[options["learner"]["name"]]).parameters:
        learner = options["learner"]["name"]
        parser.without_effect(argv, ("net",), f"with {learner}, which takes no network")
    result = run_training(options, resume="auto" if auto else resume is not None)
    if world()[0] == 0:
        best = (
            "not validated, so that the last weights are kept"
            if math.isnan(result.best)
            else f"best validation {result.best:{spelling(result.best, 4)}}"
        )
        print(
            f"stopped: {result.stopped} at step {result.step}, {best}, "
            f"{result.minutes:.1f} minutes, {result.skipped} task(s) skipped; run in "
            f"{options['out']}"
        )
    return 130 if result.stopped == "interrupted" else 0
