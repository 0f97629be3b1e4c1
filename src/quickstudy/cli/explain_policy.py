"""The explanation of a policy in the terminal: which episodes moved it, and how it acts since."""

from __future__ import annotations

from collections.abc import Sequence

from quickstudy.cli.console import print_json, print_table
from quickstudy.models.policy import AdaptedPolicy

SHOWN = 10
"""Episodes that are printed."""


def explain_policy(policy: AdaptedPolicy, json: bool) -> int:
    """Prints which episodes moved a policy, and its actions before and after.

    Args:
        policy: The policy.
        json: Whether to print JSON, with all there is to say.
    """
    why = policy.explain()
    if json:
        print_json(why.to_json())
        return 0
    rows = [
        (
            f"update {part.update}, episode {part.episode}",
            *(str(part.steps), f"{part.value:.2f}", f"{100 * part.share:.0f} %"),
            f"{part.without:.3g}",
        )
        for part in why.strongest[:SHOWN]
    ]
    print_table(
        f"the {len(rows)} of {len(why.episodes)} episodes that moved the policy most",
        ("episode", "steps", "return", "share", "without it"),
        rows,
        caption=(
            "share: part of its update, along the way the policy went; without it: how far the "
            "policy would be from what it is, in nats"
        ),
    )
    choices = policy.model.world.n_actions is not None
    print_table(
        "actions where it was: " + ("probabilities" if choices else "means, then deviations"),
        ("observation", "before", "after"),
        [
            (_numbers(each.observation), _numbers(each.before), _numbers(each.after))
            for each in why.changes
        ],
    )
    print(f"it went {why.moved:.3g} nats (mean KL divergence over the observations it visited)")
    return 0


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.2g}" for value in values)
