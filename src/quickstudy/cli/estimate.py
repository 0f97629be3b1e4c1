"""`quickstudy estimate`: says what a meta-training will need."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from quickstudy.cli.console import status
from quickstudy.cli.options import train_parser
from quickstudy.files.machine import machine
from quickstudy.files.rundir import write_atomically
from quickstudy.training.estimate import estimate as estimated
from quickstudy.training.estimate import print_estimate
from quickstudy.training.plan import build


def estimate(argv: Sequence[str]) -> int:
    """Say what meta-training will need: memory and time."""
    options = train_parser(argv, "estimate").read(argv).as_dict()
    learner, source, training, _ = build(options)
    with status() as say:
        say("a step")
        found = estimated(learner, source, training)
    if options["json"] is not None:
        content = json.dumps(asdict(found) | {"fits": found.fits} | machine(), indent=2)
        write_atomically(options["json"], content.encode())
    print_estimate(found, type(learner).__name__, training)
    return 0
