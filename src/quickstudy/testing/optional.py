"""Checks of what not every learner has: a start, removal, quantiles, no labels."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from quickstudy.learner import AnyLearner, Learner
from quickstudy.task import Examples, Task
from quickstudy.testing.trees import expect_close, modes, padded


def check_initialise(learner: AnyLearner, tasks: Sequence[Task]) -> None:
    """The same tasks give the same finite start, padded or not; skipped where there is none."""
    if not learner.overrides(Learner.initialise):
        return

    def started(tasks: Sequence[Task]) -> dict[str, torch.Tensor]:
        model = copy.deepcopy(learner).double().train()
        model.initialise(tasks)
        return dict(model.state_dict())

    advice = (
        "set parameters in place from the tasks alone, without random numbers, and weigh sums over "
        "examples by their weight."
    )
    first, again = started(tasks), started(tasks)
    where = "check_initialise (train mode)"
    before = {name: tuple(t.shape) for name, t in learner.state_dict().items()}
    after = {name: tuple(t.shape) for name, t in first.items()}
    wrong = sorted(name for name, t in first.items() if not torch.isfinite(t).all())
    wrong += sorted(name for name in before.keys() | after if before.get(name) != after.get(name))
    if wrong:
        raise AssertionError(
            f"{where}: parameters must stay finite and of their shapes; received others in "
            f"{', '.join(wrong[:5])}; {advice}"
        )
    expect_close(again, first, f"{where}: the same tasks gave another start", advice, tolerance=0)
    longer = [Task(*(padded(part, 2, part.y.shape[1]) for part in task)) for task in tasks]
    expect_close(started(longer), first, f"{where}: padding changes the start", advice)


def check_unlabelled(learner: AnyLearner, tasks: Sequence[Task]) -> None:
    """Labels that are others, or unknown, change no prediction, where a learner is `unlabelled`."""
    if not learner.tags.unlabelled:
        return
    support, query = tasks[0]
    for mode, model in modes(learner, tasks):
        with torch.no_grad():
            expected = model.respond(Task(support, query))
            for what, y in (
                ("others", support.y.roll(1, dims=1)),
                ("unknown", torch.ones_like(support.y)),
            ):
                if model.kind == "regression" and what == "unknown":
                    continue
                expect_close(
                    model.respond(Task(support._replace(y=y), query)),
                    expected,
                    f"check_unlabelled ({mode} mode): labels that are {what} change the "
                    "predictions",
                    "look at the inputs of the support alone, and of its labels at no more than "
                    "class_present, or leave Tags(unlabelled=True) out.",
                )


def check_held_out(learner: AnyLearner, tasks: Sequence[Task]) -> None:
    """Predictions without an example are those of adapting without it; skipped without such."""
    if not learner.overrides(Learner.held_out):
        return
    model = dict(modes(learner, tasks))["eval"]
    support, query = tasks[0]
    with torch.no_grad():
        x = query.x[:2]
        held = model.held_out(model.adapt(support), support, x)
        if held is None:
            return
        for i in range(len(support.x)):
            others = torch.arange(len(support.x)) != i
            state = model.adapt(Examples(*(t[others] for t in support)))
            expect_close(
                (held.own[i], held.queries[i]),
                (model.predict(state, support.x[i][None])[0], model.predict(state, x)),
                f"check_held_out (eval mode): the predictions without example {i} are not those "
                "of adapting without it",
                "return None where no formula gives them, as where norms look at the support.",
            )


def check_quantiles(learner: AnyLearner, tasks: Sequence[Task]) -> None:
    """Quantiles rise with their level, whatever others are asked; skipped where there are none."""
    if not learner.overrides(Learner.quantiles):
        return
    model, levels = dict(modes(learner, tasks))["eval"], (0.02, 0.1, 0.5, 0.51, 0.9, 0.995)
    support, query = tasks[0]
    where, advice = "check_quantiles (eval mode)", "sort them, and read others off between them."
    with torch.no_grad():
        state = model.adapt(support)
        found = model.quantiles(state, query.x, levels)
        if found is None:
            return
        shape = (*query.y.shape, len(levels))
        if model.kind != "regression" or found.shape != shape:
            raise AssertionError(
                f"{where}: must be (query, outputs, levels), {shape}, of a regression; received "
                f"{tuple(found.shape)} in {model.kind}; return None of classes."
            )
        if not (found.diff(dim=-1) >= 0).all():
            raise AssertionError(
                f"{where}: a quantile of a higher level must not be smaller; received a fall of "
                f"{float(-found.diff(dim=-1).min()):.3g}; {advice}"
            )
        each = [model.quantiles(state, query.x, [level]) for level in levels]
        alone = torch.cat([one for one in each if one is not None], dim=-1)
        expect_close(alone, found, f"{where}: a level changes with others", advice)
