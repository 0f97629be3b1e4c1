"""Pictures of what was played: paths in the plane, or the pulls of arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.play.world import Hidden, World
from quickstudy.task import Rollouts

if TYPE_CHECKING:  # matplotlib is slow to load
    from quickstudy.figures.sheet import Figure


class Seen(NamedTuple):
    """One world, and one round of each player in it, with the same random numbers.

    Attributes:
        name: Of the world.
        hidden: Its hidden numbers.
        before, after: The rounds `(1, episodes, ...)` before and after adapting.
        others: Those of other players, by name.
    """

    name: str
    hidden: Hidden
    before: Rollouts
    after: Rollouts
    others: Mapping[str, Rollouts] = {}


def pictures(world: World, seen: Sequence[Seen]) -> list[Figure]:
    """The figures of what was played in some worlds of a family; none where nothing can be drawn.

    Args:
        world: The functions of the worlds.
        seen: What was played in each.
    """
    if world.n_actions is not None and world.observation_shape == (1,):
        return [_pulls(seen)]
    if world.place(seen[0].before.final) is None:
        return []
    from quickstudy.figures.paths import Fan, paths

    fans = [
        Fan(
            each.name,
            _paths(world, each.before),
            _paths(world, each.after),
            _array(world.goal(each.hidden)),
            world.radius,
            (_mean(each.before), _mean(each.after)),
        )
        for each in seen
    ]
    return [paths(fans)]


def _paths(world: World, played: Rollouts) -> list[NDArray[np.float64]]:
    """The places of each episode, without those after its end."""
    along, last = _array(world.place(played.observation[0])), _array(world.place(played.final[0]))
    lengths = played.weight[0].sum(dim=1).long().tolist()
    return [
        np.concatenate([along[e, :length], last[e : e + 1]]) for e, length in enumerate(lengths)
    ]


def _pulls(seen: Sequence[Seen]) -> Figure:
    from quickstudy.figures.pulls import Pulled, pulls

    bandits = []
    for each in seen:
        players = {"before": each.before, "after": each.after, **each.others}
        shares = {name: _array(played.action[0].mean(dim=0)) for name, played in players.items()}
        returns = {name: _mean(played) for name, played in players.items()}
        bandits.append(Pulled(_array(each.hidden[0]), shares, returns))
    return pulls(bandits)


def _mean(played: Rollouts) -> float:
    return float(played.returns.double().mean())


def _array(values: Any) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = values.detach().double().cpu().numpy()
    return numbers
