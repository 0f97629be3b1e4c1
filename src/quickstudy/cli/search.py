"""`quickstudy search`: tries learning methods, with workers that share a study."""

from __future__ import annotations

import multiprocessing
import shlex
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import torch

from quickstudy import catalog
from quickstudy.cli.console import needs_extra, status
from quickstudy.cli.options import train_parser
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.metrics import spelling
from quickstudy.search.settings import Search
from quickstudy.search.space import read_space, space_text
from quickstudy.search.spaces import default_space, usual_choices
from quickstudy.search.store import default_store, remember, task_features, warm_starts
from quickstudy.search.trial import Budget
from quickstudy.tasks import Split
from quickstudy.tasks.recorded import record_of
from quickstudy.training.plan import flat, plain, tasks_spec, without_none

if TYPE_CHECKING:
    from quickstudy.search.rows import Row
    from quickstudy.search.study import Plan, Worked


def search(argv: Sequence[str]) -> int:
    """Try learning methods on your tasks, and end with the best as a ready-to-run config."""
    parser = train_parser(argv, "search")
    parser.add_class_arguments(Search)
    options = parser.read(argv).as_dict()
    settings = Search(**{field.name: options.pop(field.name) for field in fields(Search)})
    out, file = options.pop("out"), options.pop("json")
    options.pop("config", None)
    source = catalog.build_tasks(tasks_spec(options))
    if "valid" not in source.splits or options["valid_tasks"] == 0:
        raise UserError(
            "search: chooses by validation, and needs meta-valid tasks; received tasks of the "
            f"splits {', '.join(source.splits)} and valid_tasks {options['valid_tasks']}; give "
            "the tasks meta-valid classes, or train one learner with quickstudy train."
        )
    every = flat(without_none(options))
    fixed = {name: every[name] for name in sorted(parser.given(argv)) if name in every}
    net = fixed.get("net.name")
    space = read_space(settings.space) if settings.space else default_space(source, net)
    space = space.without(fixed)
    if settings.print_space:
        print(space_text(space), end="")
        return 0
    if out is None:
        raise UserError("search: needs a folder; received none; give --out searches/mine.")
    fixed |= {name: every[name] for name in ("tasks.name", "seed", "meta_batch")}
    budget = Budget(options["steps"] * options["meta_batch"], settings.factor, settings.rungs)
    with needs_extra("search", "search"):
        from quickstudy.search import results
        from quickstudy.search.finals import tested
        from quickstudy.search.rows import rows
        from quickstudy.search.study import Plan, open_study, recorded_by
    store = settings.store or default_store()
    features = task_features(source)
    default, *others = usual_choices(space, source, fixed)
    first = [("default", default)]
    first += warm_starts(store, source, features, space, settings.warm_start)
    first += [("usual", choices) for choices in others]
    plan = Plan(
        out=out,
        storage=settings.storage or f"sqlite:///{(out / 'study.db').resolve()}",
        name=settings.study,
        space=space,
        fixed=plain(fixed),
        metric=source.metrics[0],
        budget=budget,
        first=first,
        trials=settings.trials,
        minutes=settings.total_minutes,
        steps=settings.total_steps,
        sampler=settings.sampler,
        zoom=settings.zoom,
        seed=options["seed"],
        data=record_of(source),
    )
    needs: tuple[Split, ...] = (
        ("train", "valid", "test") if settings.test_tasks else ("train", "valid")
    )
    recorded = recorded_by(open_study(plan), plan, needs)
    if source.contents() != recorded.contents:
        source = catalog.build_tasks(tasks_spec(options), recorded)
    for note in recorded.notes(source):
        print(f"note: {note}")
    plan = replace(plan, recorded=recorded)
    write_atomically(out / "space.yaml", space_text(space).encode())
    done = _work(plan, settings.workers)
    trials = rows(open_study(plan))
    if done.interrupted:
        print(f"stopped after {len(trials)} trials; the same command goes on")
        return 130
    command = shlex.join(["quickstudy", "search", *argv])
    result = results.result_of(plan, trials, source, settings.final_tasks, command)
    if settings.test_tasks:
        result = replace(result, test=tested(plan, result, source, settings.test_tasks))
    results.write(plan, result, file)
    remember(store, results.past_of(result, source, features))
    results.show(result, out)
    return 0


def _work(plan: Plan, workers: int) -> Worked:
    """Works on the study in this process, and in others beside it."""
    from quickstudy.search.study import work

    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    context = multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_worker, args=(plan, i, torch.get_num_threads()))
        for i in range(1, workers)
    ]
    for other in others:
        other.start()
    try:
        with status("") as say:
            done = work(plan, say=lambda rows: say(progress(plan, rows)))
    except BaseException:
        for other in others:
            other.terminate()
        raise
    if done.interrupted:
        for other in others:
            other.terminate()
    for other in others:
        other.join()
    return done


def _worker(plan: Plan, number: int, threads: int) -> None:
    """A process that works on the study beside others."""
    from quickstudy.search.study import work

    torch.set_num_threads(threads)
    work(plan, number)


def progress(plan: Plan, rows: Sequence[Row]) -> str:
    """The state of a search, as in `7 of 30 trials done, 2 running; best 0.9310`."""
    from quickstudy.search.rows import best_row

    ended = sum(row.state in ("whole", "given up", "failed") for row in rows)
    running = sum(row.state == "running" for row in rows)
    best = best_row(rows, plan.sign)
    text = f"{ended} of {plan.trials} trials done, {running} running"
    if best is None or best.score is None:
        return text
    return f"{text}; best {best.score:{spelling(best.score, 4)}}"
