"""The pictures of control hold what was played; each part can fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.domains.control import Bandit, PointGoal, Reach, WorldTasks
from quickstudy.domains.control.reach import fingertip
from quickstudy.errors import UserError
from quickstudy.figures.paths import Fan, paths
from quickstudy.figures.pulls import Pulled, pulls
from quickstudy.figures.sheet import to_one_scale
from quickstudy.play import World


def source(world: World) -> WorldTasks:
    return WorldTasks(world, n_shot=3, n_query=5, n_updates=2)


@pytest.mark.parametrize("world", [PointGoal(horizon=4), Reach(horizon=4)])
def test_paths_are_those_of_the_first_worlds(world: World) -> None:
    tasks = source(world)
    learner = qs.build("PolicyMAML", tasks).eval()
    (figure,) = tasks.figures(learner, "test", 4)
    assert len(figure.data["worlds"]) == 4
    drawn = figure.data["worlds"][2]
    for key, updates in (("before", 0), ("after", 2)):
        query = learner.practise(tasks.with_updates(updates).task("test", 2)).query
        seen = torch.cat([query.observation[0], query.final[0][:, None]], dim=1)  # type: ignore[attr-defined]
        places = seen if isinstance(world, PointGoal) else fingertip(seen)
        np.testing.assert_allclose(drawn[key], places.detach(), atol=1e-6)
    returns = learner.respond(tasks.task("test", 2))[:, 0].mean()
    np.testing.assert_allclose(drawn["returns"][1], float(returns), rtol=1e-5)
    assert drawn["radius"] == (None if isinstance(world, PointGoal) else 0.05)


def test_a_path_ends_where_its_episode_does() -> None:
    tasks = source(PointGoal(horizon=6))
    learner = qs.build("PolicyMAML", tasks).eval()
    hidden = {"goal": [0.1, 0.1]}
    practice = qs.PolicyModel(learner).practised(hidden, 2, 1, 0)  # type: ignore[arg-type]
    from quickstudy.play.pictures import Seen, pictures

    seen = Seen("", practice.hidden, practice.oracle, practice.trials[-1])
    (figure,) = pictures(tasks.world, [seen])
    np.testing.assert_allclose(figure.data["worlds"][0]["before"][0], [[0, 0], [0.1, 0.1]])
    assert "on the left" in figure.caption


def test_pulls_are_shares_of_episodes_with_the_best_arm_first() -> None:
    tasks = source(Bandit(n_arms=3, horizon=4))
    learner = qs.build("PolicyMAML", tasks).eval()
    (figure,) = tasks.figures(learner, "test", 4)
    assert figure.data["players"] == ["before", "after", "Gittins"]
    drawn = figure.data["bandits"][1]
    task = tasks.task("test", 1)
    order = task.query.world.means.argsort(descending=True)  # type: ignore[attr-defined]
    query = learner.practise(task).query
    shares = query.action[0].mean(dim=0)[:, order]  # type: ignore[attr-defined]
    np.testing.assert_allclose(drawn["shares"]["after"], shares)
    assert drawn["means"] == sorted(drawn["means"], reverse=True)
    best = np.mean([np.array(each["shares"]["after"])[:, 0] for each in figure.data["bandits"]])
    assert f"{round(100 * best)} % after" in figure.title


def test_what_cannot_be_drawn_is_refused() -> None:
    walk = [[[0.0, 0.0], [0.5, np.nan]]]
    with pytest.raises(UserError, match=r"path 0 before adapting must be \(steps, 2\) and finite"):
        paths([Fan("", walk, walk, [0, 0], None, (0.0, 0.0))])
    with pytest.raises(UserError, match="needs a world; received none"):
        paths([])
    half = [[0.5, 0.5]]
    with pytest.raises(UserError, match=r"needs shares \(pulls, 3\) of a, finite"):
        pulls([Pulled([0.1, 0.2, 0.3], {"a": half}, {"a": 1.0})])
    with pytest.raises(UserError, match="needs bandits with the same players"):
        pulls([Pulled([0.1, 0.2], {p: half}, {p: 1.0}) for p in ("a", "b")])


@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.5])
def test_a_panel_has_one_scale_and_nothing_falls_out(ratio: float) -> None:
    low, high = np.array([-1.0, 0.5]), np.array([2.0, 1.0])
    wider = to_one_scale(low, high, ratio)
    width, height = wider[1] - wider[0]
    np.testing.assert_allclose(width / height, ratio)
    np.testing.assert_allclose(width, max(3, 0.5 * ratio))
    np.testing.assert_allclose(wider[0] + wider[1], low + high)
