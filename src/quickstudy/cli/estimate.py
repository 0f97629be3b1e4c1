"""`quickstudy estimate`: says what a meta-training will need."""

from __future__ import annotations

from collections.abc import Sequence

from quickstudy.cli.console import print_table, status, write_json
from quickstudy.cli.options import train_parser
from quickstudy.files.machine import machine
from quickstudy.training.estimate import Estimate
from quickstudy.training.estimate import estimate as estimated
from quickstudy.training.plan import build
from quickstudy.training.settings import Training


def estimate(argv: Sequence[str]) -> int:
    """Say what meta-training will need: memory and time."""
    options = train_parser(argv, "estimate").read(argv).as_dict()
    learner, source, training, _ = build(options)
    with status() as say:
        say("a step")
        needs = estimated(learner, source, training)
    for note in source.describe().get("notes", ()):
        print(f"note: {note}")
    write_json(options["json"], needs.to_json() | machine())
    _print(needs, type(learner).__name__, training)
    return 0


def _print(needs: Estimate, name: str, training: Training) -> None:
    """Prints the needs of a meta-training as a table."""
    rows = []
    for need in (needs.asked, *needs.others):
        changes = " and ".join(_as_option(key, value) for key, value in need.change.items())
        rows.append((f"with {changes}" if changes else "as asked", _mebibytes(need.tensors)))
    title = f"{name}, a step of {training.meta_batch} tasks"
    print_table(title, ("", "tensors at most, MiB"), rows)
    print(f"besides: {needs.parameters} parameters, with optimizer {_mebibytes(needs.kept)} MiB")
    if needs.measured is not None:
        print(f"tried: a step took {_mebibytes(needs.measured)} MiB, kernels included")
    if needs.available is not None:
        verdict = "fits" if needs.fits else "may NOT fit"
        print(
            f"available: {_mebibytes(needs.available)} MiB; the step as asked {verdict}: kernels "
            "can take as much again as the tensors"
        )
    if needs.seconds is not None:
        whole = needs.seconds * needs.steps / 60
        print(
            f"time: {1000 * needs.seconds:.0f} ms a step, {whole:.1f} minutes for {needs.steps} "
            "steps at most, validation not counted"
        )


def _as_option(key: str, value: object) -> str:
    """A setting as it is given on the command line."""
    if key.isupper():
        return f"{key}={value}"
    name = f"learner.{key}" if key == "meta_gradient" else key
    return f"--{name.replace('_', '-')} {value}"


def _mebibytes(n: int) -> str:
    return f"{n / 2**20:.1f}" if n < 10 * 2**20 else f"{n / 2**20:.0f}"
