"""A policy in a user's hands: adapted by episodes, asked, saved; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.domains import control
from quickstudy.domains.control import Bandit, PointGoal, Reach, WorldTasks
from quickstudy.errors import CheckpointError, UserError
from quickstudy.files.rundir import RunDirectory, tensors_from_bytes, tensors_to_bytes
from quickstudy.inputs.episodes import hidden_notes, hidden_to_json, read_rounds
from quickstudy.play.world import Practice, World
from quickstudy.task import Rollouts
from quickstudy.tasks.source import generator
from quickstudy.version import __version__

GOAL = {"goal": [0.3, -0.2]}


def policies(world: World | None = None, name: str = "PolicyMAML", seed: int = 0) -> qs.PolicyModel:
    tasks = WorldTasks(world or PointGoal(horizon=6), n_shot=4, n_query=4)
    spec = {"name": name, "inner_lr": 0.05, "std": 0.1}
    return qs.PolicyModel(qs.build(spec, tasks, {"name": "MLP", "hidden": [8]}, seed))


def walk(policy: qs.AdaptedPolicy, n: int = 3, steps: int = 5) -> list[dict[str, Any]]:
    """Episodes of a policy, as a user writes them down."""
    rng, episodes = np.random.default_rng(0), []
    for length in range(steps, steps + n):
        seen, rows = np.zeros(2), []
        for _ in range(length):
            choice = policy.choose(seen, rng)
            after = seen + np.clip(choice.action, -0.1, 0.1)
            rows.append((seen, choice.action, choice.log_probability, -np.abs(after).sum()))
            seen = after
        names = ("observation", "action", "log_probability", "reward")
        parts = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        episodes.append(parts | {"final": seen, "terminated": False})
    return episodes


def same(one: qs.AdaptedPolicy, other: qs.AdaptedPolicy) -> None:
    torch.testing.assert_close(one.state.parameters, other.state.parameters, rtol=1e-4, atol=1e-5)


def test_practising_is_the_task_of_a_source_played_adapted_and_played_again() -> None:
    model = policies()
    policy, hidden, trials, oracle = model.practised(GOAL, episodes=4, updates=2, seed=3)
    luck = model.world.noise(generator(3, "control/practise/query", 0), 4)
    judged = Practice(hidden, luck)
    reached = (hidden.goal.abs() / 0.1).ceil().amax()
    assert (oracle.weight.sum(dim=-1) == reached).all()
    assert policy.world == GOAL
    assert [trial.shape for trial in policy.trials] == [(4,)] * 3
    state = model.learner.begin()
    for played, trial in zip([*policy.rounds, None], trials, strict=True):
        again = model.learner.play(state, judged)
        torch.testing.assert_close(again, trial)
        if played is not None:
            state = model.learner.update(state, played)
    same(policy, qs.AdaptedPolicy(model, policy.rounds, state))
    np.testing.assert_array_equal(policy.after, trials[-1].returns[0].double())
    assert not torch.equal(trials[0].observation, policy.rounds[0].observation[None])


def test_episodes_as_rollouts_or_as_lists_teach_the_same() -> None:
    model = policies()
    policy = model.practise(GOAL, episodes=3, updates=2)
    rollouts = Rollouts(*(torch.stack(parts) for parts in zip(*policy.rounds, strict=True)))
    same(model.adapt(rollouts), policy)
    episodes = walk(model.begin())
    padded = read_rounds(episodes, model.world, model.like)[0]
    assert padded.weight.sum(dim=1).tolist() == [5, 6, 7]
    same(model.adapt(episodes), qs.AdaptedPolicy(model, [padded]))
    with_last = [{**e, "observation": [*e["observation"], e["final"]]} for e in episodes]
    same(model.adapt([{k: v for k, v in e.items() if k != "final"} for e in with_last]),
         model.adapt(episodes))  # fmt: skip


def test_an_update_goes_on_where_the_policy_stands_and_leaves_it_as_it_was() -> None:
    model = policies()
    first = walk(model.begin())
    policy = model.adapt(first)
    second = walk(policy, n=2, steps=4)
    before = {name: p.clone() for name, p in policy.state.parameters.items()}
    better = policy.update(second)
    torch.testing.assert_close(policy.state.parameters, before, rtol=0, atol=0)
    assert len(better.rounds) == 2
    rounds = [read_rounds(e, model.world, model.like)[0] for e in (first, second)]
    same(better, qs.AdaptedPolicy(model, rounds))
    with pytest.raises(AssertionError):
        same(better, policy)


def test_episodes_of_a_policy_too_far_away_are_refused() -> None:
    """They would change nothing: the ratios of probabilities underflow."""
    model = policies()

    def louder(by: float) -> qs.AdaptedPolicy:
        state = model.learner.begin()
        log_std = state.parameters["log_std"] + by
        return qs.AdaptedPolicy(model, (), type(state)({**state.parameters, "log_std": log_std}))

    model.adapt(walk(louder(0.1)))
    words = r"round 0 must be played by the policy that learns from it, .* 1 nat a step .* away; pl"
    for by in (1.5, 5.0):
        with pytest.raises(UserError, match=words):
            model.adapt(walk(louder(by)))
    far = walk(louder(5.0))
    assert len(louder(5.0).update(far).rounds) == 1
    (played,) = read_rounds(far, model.world, model.like)
    state = model.learner.update(model.learner.begin(), played)
    torch.testing.assert_close(state, model.learner.begin(), rtol=0, atol=0)


def test_each_round_is_held_to_the_policy_before_it() -> None:
    model = policies()
    policy = model.practise(GOAL, episodes=3, updates=2)
    first, second = policy.rounds
    both = Rollouts(*(torch.stack(parts) for parts in zip(first, second, strict=True)))
    model.adapt(both)
    of_others = both.log_probability.clone()
    of_others[1] += 3
    with pytest.raises(UserError, match=r"episodes: round 1 must be played .* policy 2\.0\d nats"):
        model.adapt(both._replace(log_probability=of_others))


def test_actions_are_drawn_by_the_generator_that_is_given() -> None:
    policy = policies().practise(GOAL, episodes=3)
    rng = np.random.default_rng(5)
    drawn = [policy.act([0.1, 0.2], rng) for _ in range(2)]
    assert not np.array_equal(*drawn)
    np.testing.assert_array_equal(policy.act([0.1, 0.2], 5), drawn[0])
    many = policy.choose(np.tile([0.1, 0.2], (4000, 1)), 5)
    greedy = policy.choose([0.1, 0.2], greedy=True)
    np.testing.assert_allclose(many.action.mean(axis=0), greedy.action, atol=0.01)
    assert (many.log_probability < greedy.log_probability + 1e-6).all()


def test_a_choice_is_a_number_with_its_probability() -> None:
    policy = policies(Bandit(n_arms=3, horizon=4)).practise({"means": [0.0, 1.0, 0.0]}, 8)
    shares = policy.probabilities([1.0])
    assert shares.shape == (3,)
    np.testing.assert_allclose(shares.sum(), 1)
    choice = policy.choose([1.0], seed=0)
    assert isinstance(choice.action, int)
    np.testing.assert_allclose(np.exp(choice.log_probability), shares[choice.action], rtol=1e-5)
    assert policy.act([1.0], greedy=True) == shares.argmax()
    drawn = policy.act(np.ones((6000, 1)), seed=1)
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 6000, shares, atol=0.03)


def test_a_policy_learns_which_arm_pays() -> None:
    tasks = WorldTasks(Bandit(n_arms=3, horizon=4))
    model = qs.PolicyModel(
        qs.build({"name": "PolicyMAML", "inner_lr": 5.0}, tasks, {"name": "MLP", "hidden": [8]})
    )
    policy = model.practise({"means": [0.0, 1.0, 0.0]}, episodes=20, updates=3)
    assert policy.before is not None
    assert policy.after is not None
    assert policy.after.mean() > policy.before.mean() + 1
    assert policy.act([1.0], greedy=True) == 1


@pytest.mark.parametrize("with_model", [True, False])
def test_a_saved_policy_acts_and_learns_as_before(tmp_path: Path, with_model: bool) -> None:
    model = policies()
    policy = model.practise(GOAL, episodes=3, updates=2)
    policy.save(tmp_path / "a.task", model=with_model)
    beside = {} if with_model else {"model": model}
    loaded = qs.load_policy(tmp_path / "a.task", **beside)  # type: ignore[arg-type]
    assert (loaded.world, repr(loaded)) == (policy.world, repr(policy))
    np.testing.assert_array_equal(loaded.trials, policy.trials)
    np.testing.assert_array_equal(loaded.act([0.1, 0.2], 0), policy.act([0.1, 0.2], 0))
    more = walk(policy)
    np.testing.assert_array_equal(
        loaded.update(more).act([0.1, 0.2], 0), policy.update(more).act([0.1, 0.2], 0)
    )
    assert loaded.to_bytes(with_model) == policy.to_bytes(with_model)
    if not with_model:
        with pytest.raises(UserError, match="saved without its meta-trained model"):
            qs.load_policy(tmp_path / "a.task")
        with pytest.raises(CheckpointError, match="expected the model of fingerprint"):
            qs.load_policy(tmp_path / "a.task", model=policies(seed=1))


def test_files_of_policies_and_of_answers_are_told_apart(tmp_path: Path) -> None:
    policy = policies().practise(GOAL, episodes=2)
    policy.save(tmp_path / "a.task")
    with pytest.raises(UserError, match="received a policy, which acts; ask it with quick"):
        qs.load_task(tmp_path / "a.task")
    rows = qs.Model(qs.learners.PrototypicalNetwork(qs.nets.MLP((2,), [4])), (2,))
    rows.adapt(np.eye(2), ["a", "b"]).save(tmp_path / "b.task")
    with pytest.raises(UserError, match="received an adapted model that answers queries; ask it"):
        qs.load_policy(tmp_path / "b.task")
    tensors, header = tensors_from_bytes((tmp_path / "a.task").read_bytes(), "a")
    assert header["format"] == 3, "by which readers of format 2 refuse it in words"
    header["world"] = {"goal": [0.0, 0.0]}
    (tmp_path / "c.task").write_bytes(tensors_to_bytes(tensors, header))
    with pytest.raises(CheckpointError, match="the sha256 of the task does not match"):
        qs.load_policy(tmp_path / "c.task")
    with pytest.raises(CheckpointError, match="received no such file; make one with quickstudy pr"):
        qs.load_policy(tmp_path / "d.task")


def test_the_model_of_a_run_is_a_policy(tmp_path: Path) -> None:
    model = policies()
    record = {"version": __version__, "kind": "control", "step": 0, "minutes": 0.0}
    directory = RunDirectory(tmp_path / "run")
    directory.create({**record, "cpu_minutes": 0.0, **model.to_json()})
    weights = tensors_to_bytes(model.learner.state_dict())
    directory.save(directory.read(), {"weights": weights})
    loaded = qs.load(tmp_path / "run")
    assert isinstance(loaded, qs.PolicyModel)
    assert loaded.fingerprint == model.fingerprint
    np.testing.assert_array_equal(
        loaded.begin().act([0.1, 0.2], 0), model.begin().act([0.1, 0.2], 0)
    )


def changed(**fields: Any) -> list[dict[str, Any]]:
    first, *others = walk(policies().begin())
    return [{**first, **fields}, *others]


def short(name: str) -> list[dict[str, Any]]:
    first, *others = walk(policies().begin())
    return [{**first, name: first[name][:-1]}, *others]


def lacking(name: str) -> list[dict[str, Any]]:
    first, *others = walk(policies().begin())
    return [{k: v for k, v in first.items() if k != name}, *others]


@pytest.mark.parametrize(
    ("episodes", "words"),
    [
        (list, "received none; play some"),
        (lambda: np.zeros((2, 5, 2)), "must be Rollouts, or a list of mappings"),
        (lambda: lacking("reward"), r"episode 0 needs reward; received observation, action"),
        (lambda: lacking("log_probability"), "keep what policy.choose gives beside each action"),
        (lambda: lacking("final"), "time ended it, so that the observation after its last"),
        (
            lambda: changed(observation=np.zeros((5, 3))),
            r"observation must have the shape \(5, 2\)",
        ),
        (lambda: changed(observation=np.full((5, 2), np.nan)), "observation must be finite; rec"),
        (lambda: changed(observation=["here"] * 5), "observation must be numbers; received"),
        (lambda: changed(final=[0.0, np.inf]), "final must be finite; .* at step 5"),
        (lambda: changed(reward=[0, 0, np.inf, 0, 0]), "reward must be finite; .* at step 2"),
        (lambda: changed(reward=[]), "there is at least one step"),
        (lambda: changed(reward=np.zeros((5, 1))), "reward must be a number for each step"),
        (lambda: short("action"), r"action must have the shape \(5, 2\); received \(4, 2\)"),
        (lambda: short("log_probability"), r"log_probability must have the shape \(5,\); rec"),
        (lambda: changed(terminated=0.5), "terminated must be true where the world ended"),
        (lambda: changed(action=np.zeros((5, 2, 1))), r"action must have the shape \(5, 2\)"),
    ],
)
def test_wrong_episodes_are_refused(episodes: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        policies().adapt(episodes())


@pytest.mark.parametrize(
    ("action", "log_probability", "words"),
    [
        ([0, 3], [-1, -1], r"each of the 2 actions must be one of 0 .. 2; received the shape"),
        ([0.5, 1], [-1, -1], "number actions from 0"),
        ([[1, 1, 0], [0, 0, 1]], [-1, -1], "each of the 2 actions"),
        ([0, 1], [0.3, 0.9], "the logarithm of a probability is at most 0; received 0.9"),
    ],
)
def test_actions_outside_the_space_are_refused(
    action: Any, log_probability: Any, words: str
) -> None:
    episode = {
        "observation": np.ones((2, 1)), "action": action, "log_probability": log_probability,
        "reward": [0, 1], "terminated": True,
    }  # fmt: skip
    with pytest.raises(UserError, match=words):
        policies(Bandit(n_arms=3)).adapt([episode])


def test_rollouts_with_holes_or_of_unequal_fields_are_refused() -> None:
    model = policies()
    rounds = model.practise(GOAL, episodes=2).rounds[0]
    played = Rollouts(*(part[None] for part in rounds))
    holes = played.weight.clone()
    holes[..., 1] = 0
    with pytest.raises(UserError, match="weight is 1 for the steps of an episode, then 0"):
        model.adapt(played._replace(weight=holes))
    with pytest.raises(UserError, match="have the same rounds, episodes and steps"):
        model.adapt(played._replace(reward=played.reward[:, :1]))
    with pytest.raises(UserError, match="there is at least one step"):
        model.adapt(played._replace(weight=0 * holes))


@pytest.mark.parametrize(
    ("world", "words"),
    [
        ({"gaol": [0, 0]}, r"hidden numbers are goal; received \['gaol'\]; give such as"),
        ({}, "hidden numbers are goal"),
        ([0.3, -0.2], "hidden numbers are goal"),
        ({"goal": [0.3]}, r"goal must be finite numbers of shape \(2,\); received \[0.3\]"),
        ({"goal": [0.3, float("nan")]}, "goal must be finite numbers"),
        ({"goal": [0.3, float("inf")]}, r"goal must be finite numbers of shape \(2,\); received"),
        ({"goal": [1e39, 0.0]}, "goal must be finite numbers"),
        ({"goal": "there"}, "goal must be numbers"),
    ],
)
def test_wrong_hidden_numbers_are_refused(world: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        policies().practise(world, episodes=1)


@pytest.mark.parametrize("means", [[0.5, 1.01, 0.5], [-1e-9, 0.5, 0.5]])
def test_probabilities_of_arms_are_from_0_to_1(means: list[float]) -> None:
    model = policies(Bandit(n_arms=3, horizon=4))
    words = r"world: means must be from 0 to 1; received \[.*\]; give such as \["
    with pytest.raises(UserError, match=words):
        model.practise({"means": means}, episodes=1)
    assert model.practise({"means": [0.0, 1.0, 0.5]}, episodes=1).notes == []


@pytest.mark.parametrize(
    ("world", "name", "usual", "unusual"),
    [
        (PointGoal(horizon=4), "goal", [0.5, -0.5], [0.3, -0.51]),
        (PointGoal(sparse=True, horizon=4), "goal", [0.71, 0.71], [0.6, -0.8]),
        (PointGoal(sparse=True, horizon=4), "goal", [-1.0, 0.0], [0.5, 0.5]),
        (Reach(horizon=4), "target", [0.5, 0.5], [0.5, -0.5]),
        (Reach(horizon=4), "target", [-0.3, 0.0], [0.0, 0.97]),
    ],
)
def test_hidden_numbers_that_a_family_never_draws_are_told(
    world: World, name: str, usual: list[float], unusual: list[float], tmp_path: Path
) -> None:
    model = policies(world)
    assert model.practise({name: usual}, episodes=1).notes == []
    policy = model.practise({name: unusual}, episodes=1)
    rule = world.ranges()[name].rule
    (note,) = policy.notes
    assert note.startswith(f"{name} {unusual} is none that the family draws, which is {rule}:")
    policy.save(tmp_path / "a.task")
    assert qs.load_policy(tmp_path / "a.task").notes == policy.notes
    for seed in range(20):
        drawn = hidden_to_json(world.draw(np.random.default_rng(seed)))
        assert hidden_notes(world, drawn) == []


def test_questions_that_a_policy_cannot_answer_are_refused() -> None:
    model = policies()
    with pytest.raises(UserError, match=r"once|after it adapted to it; received a meta-trained"):
        model.act([0.1, 0.2])
    with pytest.raises(UserError, match="learns from episodes that it played; received examples"):
        model.adapt([[0.0, 0.0]], ["a"])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="needs a number of actions to choose from"):
        model.begin().probabilities([0.1, 0.2])
    with pytest.raises(UserError, match=r"shape"):
        model.begin().act([0.1, 0.2, 0.3])
    with pytest.raises(UserError, match="must be finite"):
        model.begin().act([0.1, float("nan")])
    with pytest.raises(UserError, match="episodes must be at least 1"):
        model.practise(GOAL, episodes=0)
    with pytest.raises(UserError, match="needs a policy that learned from episodes"):
        model.begin().explain()


def test_a_world_of_ones_own_is_known_by_its_name_once_it_is_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Windy(PointGoal):
        """A point that the wind moves too."""

        def to_json(self) -> dict[str, Any]:
            return {"name": "windy", "horizon": self.horizon}

        def transition(self, hidden: Any, state: Any, action: Any, noise: Any) -> Any:
            return super().transition(hidden, state, action + 0.05, noise)

    words = r"unknown world: expected one of bandit, .*; received 'windy'; .*WORLDS\['windy'\]"
    with pytest.raises(UserError, match=words):
        policies(Windy(horizon=6))
    monkeypatch.setitem(control.WORLDS, "windy", Windy)
    policy = policies(Windy(horizon=6)).practise(GOAL, episodes=2)
    policy.save(tmp_path / "windy.task")
    again = qs.load_policy(tmp_path / "windy.task")
    assert isinstance(again.model.world, Windy)
    assert again.model.world.horizon == 6
    same(again, policy)
