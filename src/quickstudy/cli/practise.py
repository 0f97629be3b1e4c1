"""`quickstudy practise`: a meta-trained policy plays in a new world, and adapts to it."""

from __future__ import annotations

import json as plain_json
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy.cli.console import check_place, print_json, print_table, status
from quickstudy.errors import UserError
from quickstudy.metrics import METRICS, half_width
from quickstudy.models.policy import AdaptedPolicy
from quickstudy.models.policy_model import PolicyModel, Practised
from quickstudy.models.saved import load
from quickstudy.play.pictures import Seen
from quickstudy.play.pictures import pictures as figures_of


def practise(
    run: Path,
    out: Path,
    world: str | None = None,
    episodes: int = 20,
    updates: int = 1,
    seed: int = 0,
    pictures: Path | None = None,
    json: bool = False,
) -> int:
    """Play in a new world, adapt the policy of a run to it, and play again.

    Args:
        run: Run directory of a meta-trained policy.
        out: File for the adapted policy, which quickstudy act asks.
        world: The hidden numbers of the world as JSON, such as '{"goal": [0.3, -0.2]}'; drawn by
            the seed where omitted.
        episodes: Episodes of each round that is learned from, and of each that is measured.
        updates: Number of updates, each after a round.
        seed: Seed of all that happens by chance.
        pictures: Folder for pictures of what was played before and after, as SVG and JSON.
        json: Whether to print JSON.
    """
    model = load(run)
    if not isinstance(model, PolicyModel):
        raise UserError(
            f"practise: needs the run of a policy; received {run}, a {model.kind} model; adapt it "
            f"with quickstudy adapt {run} --support ..., or train one with --tasks point-goal."
        )
    hidden = None if world is None else _read(world)
    check_place(out, "--out")
    check_place(None if pictures is None else pictures / "paths.svg", "--pictures")
    with status("practising: "):
        practice = model.practised(hidden, episodes, updates, seed)
    policy = practice.policy
    policy.save(out)
    if pictures is not None:
        _draw(model, practice, pictures)
    answer = _answer(policy, practice.oracle.returns[0].double().numpy(), out)
    if json:
        print_json(answer)
        return 0
    rows = [(str(row["updates"]), _mean(row)) for row in answer["returns"]]
    rows.append(("oracle", _mean(answer["oracle"])))
    shown = ", ".join(f"{name} {value}" for name, value in (policy.world or {}).items())
    for note in policy.notes:
        print(f"note: {note}")
    print_table(f"return in the world of {shown}", ("updates", "return"), rows)
    print(
        f"{updates * episodes} episodes were learned from; each row is {episodes} others with the "
        "same random numbers"
    )
    print(f"the adapted policy: {out}; quickstudy act {out} --observation ... asks it")
    if pictures is not None:
        print(f"pictures: {pictures}")
    return 0


def _read(world: str) -> Any:
    """The hidden numbers in JSON."""
    try:
        return plain_json.loads(world)
    except ValueError as error:
        raise UserError(
            "practise: --world must be JSON of the hidden numbers; received "
            f"{world!r:.80} ({error}); give such as '{{\"goal\": [0.3, -0.2]}}'."
        ) from error


def _answer(policy: AdaptedPolicy, oracle: Any, out: Path) -> dict[str, Any]:
    """The measured returns, as plain JSON."""
    return {
        "world": policy.world,
        "episodes": len(policy.trials[0]),
        "returns": [{"updates": k, **_measured(trial)} for k, trial in enumerate(policy.trials)],
        "oracle": _measured(oracle),
        "notes": policy.notes,
        "out": str(out),
    }


def _measured(returns: Any) -> dict[str, Any]:
    return {"mean": float(np.mean(returns)), "ci95": half_width(returns)}


def _mean(row: dict[str, Any]) -> str:
    return METRICS["return"].text(row["mean"], row["ci95"])


def _draw(model: PolicyModel, practice: Practised, folder: Path) -> None:
    trials = practice.trials
    others = {"oracle": practice.oracle}
    seen = Seen("", practice.hidden, trials[0], trials[-1], others)
    for figure in figures_of(model.world, [seen]):
        figure.save(folder)
