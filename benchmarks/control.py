"""Control: how fast worlds are, how good the classical players of bandits, and what policies learn.

    python benchmarks/control.py worlds --out benchmarks/control.json
    python benchmarks/control.py bandits --seed 0 --out benchmarks/control.json
    python benchmarks/control.py learn --family point-goal --seed 0 --out benchmarks/control.json

All run on one thread. A speed is that of the best of some rounds, in CPU seconds, as other
programs of the machine only ever make a round slower.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from quickstudy import build
from quickstudy.cli.evaluate import Evaluation, evaluate_run
from quickstudy.domains.control import Bandit, PointGoal, Reach, WorldTasks
from quickstudy.files.machine import machine
from quickstudy.play import Practice, World, play
from quickstudy.play.rollout import Choice
from quickstudy.task import stack
from quickstudy.training.outer import outer_step
from quickstudy.training.plan import resolve, run_training

EPISODES = 800
WORLDS: dict[str, World] = {
    "point-goal": PointGoal(),
    "point-goal, sparse": PointGoal(sparse=True),
    "bandit, 10 arms": Bandit(n_arms=10, horizon=100),
    "reach": Reach(horizon=100),
}
LEARN: dict[str, dict[str, Any]] = {
    "point-goal": {"tasks": {"name": "point-goal", "n_updates": 2}},
    "point-goal, sparse": {
        "tasks": {"name": "point-goal", "n_updates": 2, "sparse": True},
        "learner": {"inner_lr": 0.03},
        "steps": 60,
    },
    "reach": {"tasks": {"name": "reach", "n_updates": 2}, "steps": 60},
}
"""The trainings by family; all else is the default of these tasks."""
LEARNERS: dict[str, dict[str, Any]] = {
    "PolicyMAML": {},
    "ProMP": {"outer_lr": 5e-4, "pooled": None},
}
N_WORLDS = 200
BANDITS = ((5, 10), (10, 10), (5, 100), (10, 100))


class Constant:
    """An agent that always does the same, so that a rollout costs what the world costs."""

    def __init__(self, action: torch.Tensor) -> None:
        self.choice = Choice(action, action.new_zeros(len(action)))

    def begin(self, observation: torch.Tensor) -> tuple[()]:
        return ()

    def act(self, memory: Any, observation: torch.Tensor, noise: torch.Tensor) -> Choice:
        return self.choice

    def remember(self, memory: Any, *seen: torch.Tensor) -> tuple[()]:
        return ()


def millions(work: Callable[[], object], n_steps: int, rounds: int = 60) -> float:
    """Millions of steps in a CPU second."""
    work()
    best = math.inf
    for _ in range(rounds):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return round(n_steps / best / 1e6, 2)


def speed(world: World) -> dict[str, float]:
    """Steps a CPU second of a transition with its reward, of all functions, and of a rollout."""
    rng = np.random.default_rng(0)
    hidden, noise = world.draw(rng), world.noise(rng, EPISODES)
    action = torch.zeros(EPISODES, world.n_out)
    action[:, 0] = 0.05 if world.n_actions is None else 1
    start, chance = world.initial(hidden, noise.initial[0]), noise.transition[0]

    def bare() -> None:
        state = start
        for t in range(world.horizon):
            after = world.transition(hidden, state, action, chance[:, t])
            world.reward(hidden, state, action, after)
            state = after

    def whole() -> None:
        state = start
        for t in range(world.horizon):
            world.observation(hidden, state)
            after = world.transition(hidden, state, action, chance[:, t])
            world.reward(hidden, state, action, after)
            world.terminal(hidden, after)
            state = after

    agent, practice = Constant(action), Practice(hidden, noise)
    n = EPISODES * world.horizon
    return {
        "transition and reward": millions(bare, n),
        "all functions": millions(whole, n),
        "play": millions(lambda: play(world, agent, practice), n),
    }


def outer_steps(rounds: int = 5) -> dict[str, float]:
    """The median CPU seconds of an outer step on 20 worlds, with 20 episodes of 100 steps a round.

    A round for each update and the query; ProMP takes five optimizer steps on them.
    """
    seconds = {}
    for name, n_updates in product(LEARNERS, (1, 2)):
        source = WorldTasks(PointGoal(), n_shot=20, n_query=20, n_updates=n_updates)
        learner = build(name, source)
        optimizer = torch.optim.Adam(learner.parameters(), 1e-4)
        each = []
        for step in range(1 + rounds):
            indices = range(20 * step, 20 * (step + 1))
            started = time.process_time()
            outer_step(learner, optimizer, source, "train", indices)
            each.append(time.process_time() - started)
        seconds[f"{name}, {n_updates} updates"] = round(statistics.median(each[1:]), 2)
    return seconds


def bandits(n_worlds: int, seed: int) -> dict[str, Any]:
    """The mean return of each classical player in an episode of its own, and its interval.

    The seed is that of the worlds: of those that are measured, and of those that UCB is tuned on.
    """
    results: dict[str, Any] = {}
    for n_arms, horizon in BANDITS:
        source = WorldTasks(Bandit(n_arms, horizon), n_shot=1, n_query=10, n_updates=0, seed=seed)
        returns: dict[str, list[torch.Tensor]] = {}
        players = source.rungs(None)
        for first in range(0, n_worlds, 100):
            worlds = stack([source.task("test", index) for index in range(first, first + 100)])
            for name, player in players.items():
                each = torch.vmap(player.respond)(worlds)[..., 0].mean(dim=1)
                returns.setdefault(name, []).append(each)
        results[f"{n_arms} arms, {horizon} pulls"] = {
            name: {
                "mean": round(float(torch.cat(each).mean()), 3),
                "interval": round(1.96 * float(torch.cat(each).std()) / math.sqrt(n_worlds), 3),
            }
            for name, each in returns.items()
        }
        print(n_arms, horizon, results[f"{n_arms} arms, {horizon} pulls"], flush=True)
    return {"seed": seed, "worlds": n_worlds, "episodes": 10, "returns": results}


def learn(family: str, learner: str, seed: int, folder: Path) -> dict[str, Any]:
    """The return after 0 to 3 updates of a policy and of its opponents, in the same trials."""
    name = f"{family}-{learner}-{seed}".replace(", ", "-").lower()
    options = {"pooled": 1.0, **LEARN[family], **LEARNERS[learner], "seed": seed}
    options["learner"] = {"name": learner, **LEARN[family].get("learner", {})}
    run = folder / name
    run_training(resolve({**options, "out": str(run)}), show=False)
    settings = Evaluation(n_tasks=N_WORLDS, minutes=0)
    result = evaluate_run(run, settings, curve_tasks=N_WORLDS).to_json()
    measured = ("return", "ci95", "success", "success_ci95", "difference", "difference_ci95")
    every = {learner: result, **result["baselines"]}
    return {
        "seed": seed,
        "n_tasks": N_WORLDS,
        "cpu_minutes": result["cpu_minutes"],
        "options": options,
        "results": {
            who: {key: row[key] for key in measured if key in row}
            | {"by_updates": row["by_updates"]}
            for who, row in every.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", choices=["worlds", "bandits", "learn"])
    parser.add_argument("--family", choices=[*LEARN], default="point-goal")
    parser.add_argument("--learner", choices=[*LEARNERS], default="PolicyMAML")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, help="Folder in which the runs are kept.")
    parser.add_argument("--n-worlds", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.part == "worlds":
        speeds = {name: speed(world) for name, world in WORLDS.items()}
        result: dict[str, Any] = {
            "episodes": EPISODES,
            "million steps a CPU second": speeds,
            "CPU seconds of an outer step": outer_steps(),
        }
        print(json.dumps(result, indent=1))
    elif options.part == "bandits":
        result = bandits(options.n_worlds, options.seed)
    else:
        with tempfile.TemporaryDirectory() as kept_for_now:
            runs = options.runs or Path(kept_for_now)
            result = learn(options.family, options.learner, options.seed, runs)
    result |= {
        "command": shlex.join(["python", "benchmarks/control.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        **machine(),
    }
    if options.out:
        record = json.loads(options.out.read_text()) if options.out.exists() else {}
        if options.part == "learn":
            entry = f"{options.family}, {options.learner}, seed {options.seed}"
            result = {**record.get("learn", {}), entry: result}
        elif options.part == "bandits":
            result = {**record.get("bandits", {}), f"seed {options.seed}": result}
        options.out.write_text(json.dumps(record | {options.part: result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
