"""The figure of pulls: how often each arm of a bandit is pulled as time passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, SOFT
from quickstudy.figures.sheet import WIDTH, Figure, percent, plain, sheet

LEFT, GAP, RIGHT = 0.75, 0.16, 0.85  # inches beside and between the panels
ARM = 0.17  # inches of the height of an arm
SHADES = LinearSegmentedColormap.from_list("shares", ["white", BLUE])


class Pulled(NamedTuple):
    """The pulls in one bandit.

    Attributes:
        means: The probability `(arms,)` that each arm pays.
        players: Of each player the share of its episodes that pull an arm `(pulls, arms)`.
        returns: The mean return of each.
    """

    means: ArrayLike
    players: Mapping[str, ArrayLike]
    returns: Mapping[str, float]


def pulls(bandits: Sequence[Pulled], name: str = "pulls") -> Figure:
    """The share of episodes that pull each arm at each time: a row a bandit, a column a player.

    Args:
        bandits: Each with the same players.
        name: File name without its ending.

    Raises:
        UserError: There is none, players differ, or shares are not `(pulls, arms)`.

    Example:
        >>> half = [[0.5, 0.5], [0.5, 0.5]]
        >>> pulls([Pulled([0.2, 0.9], {"before": half}, {"before": 1.1})]).title
        'The best arm is pulled in 50 % of pulls before'
    """
    if not bandits or len({tuple(bandit.players) for bandit in bandits}) != 1:
        raise UserError(
            f"pulls: needs bandits with the same players; received {len(bandits)} of "
            f"{[list(bandit.players) for bandit in bandits]}; pass such."
        )
    players = list(bandits[0].players)
    rows = []
    for i, bandit in enumerate(bandits):
        means = np.asarray(bandit.means, dtype=np.float64)
        order = np.argsort(-means, kind="stable")
        shares = {}
        for player, part in bandit.players.items():
            share = np.asarray(part, dtype=np.float64)
            if share.ndim != 2 or share.shape[1] != len(means) or not np.isfinite(share).all():
                raise UserError(
                    f"pulls: bandit {i} needs shares (pulls, {len(means)}) of {player}, finite; "
                    f"received {share.shape}; pass such."
                )
            shares[player] = share[:, order]
        rows.append((means[order], shares, bandit.returns))
    best = {p: float(np.mean([shares[p][:, 0].mean() for _, shares, _ in rows])) for p in players}
    said = ", ".join(f"{percent(round(share, 2))} {player}" for player, share in best.items())
    width = (WIDTH - LEFT - RIGHT - GAP * (len(players) - 1)) / len(players)
    height = max(0.7, ARM * len(rows[0][0]))
    pitch = height + 0.34
    with sheet(0.68 + pitch * len(rows) + 0.4, _title(said)) as canvas:
        total = float(canvas.get_size_inches()[1])
        for i, (means, shares, returns) in enumerate(rows):
            for j, player in enumerate(players):
                left, top = LEFT + j * (width + GAP), 0.68 + i * pitch
                right = WIDTH - left - width
                axes = canvas.panel(total - top - height, top, left, right)
                n = len(shares[player])
                extent = (0.5, n + 0.5, len(means) - 0.5, -0.5)
                axes.imshow(
                    shares[player].T, cmap=SHADES, vmin=0, vmax=1, aspect="auto", extent=extent,
                    interpolation="nearest",
                )  # fmt: skip
                axes.grid(visible=False)
                text = f"{player}: {plain(returns[player])}"
                axes.set_title(text, loc="left", size=8.5, color=SOFT, pad=3)
                axes.set_yticks(range(len(means)), [f"{mean:.2f}" for mean in means], size=7.5)
                axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
                axes.tick_params(labelleft=j == 0, labelbottom=i == len(rows) - 1)
                if j == 0:
                    axes.set_ylabel("pays", size=8)
                if i == len(rows) - 1:
                    axes.set_xlabel("pull", size=8)
        bar = canvas.add_axes((1 - 0.7 / WIDTH, 0.4 / total, 0.12 / WIDTH, height / total))
        bar.imshow(np.linspace(1, 0, 64)[:, None], cmap=SHADES, aspect="auto", extent=(0, 1, 0, 1))
        bar.set(xticks=[], yticks=[0, 0.5, 1])
        bar.yaxis.tick_right()
        bar.yaxis.set_major_formatter(percent)
        bar.grid(visible=False)
        caption = (
            "Each row is a bandit and each column a player. A panel shows from left to right the "
            "pulls of an episode, and from top to bottom the arms, the best one first, with the "
            "probability that each pays; the darker, the larger the share of episodes that pull "
            "it. The number is the mean return."
        )
        data = {
            "players": players,
            "bandits": [
                {
                    "means": means.tolist(),
                    "shares": {player: share.tolist() for player, share in shares.items()},
                    "returns": {player: float(returns[player]) for player in players},
                }
                for means, shares, returns in rows
            ],
        }
        return canvas.finish(name, caption, data)


def _title(said: str) -> str:
    return f"The best arm is pulled in {said.replace(' % ', ' % of pulls ', 1)}"
