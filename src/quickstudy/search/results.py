"""Results of a search: the best configuration, the trials, and the reasons."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from quickstudy.errors import UserError
from quickstudy.figures import page
from quickstudy.files.atomic import write_atomically
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, JSONLike, today, without_nan
from quickstudy.metrics import named
from quickstudy.search.figures import search_figures
from quickstudy.search.finals import finals, winner
from quickstudy.search.importance import importance
from quickstudy.search.record import SearchResult
from quickstudy.search.rows import Row, default_row
from quickstudy.search.space import Space, space_of
from quickstudy.search.store import Past, form
from quickstudy.search.study import Plan
from quickstudy.search.zoom import ranked, zoomed
from quickstudy.tasks import TaskSource
from quickstudy.version import __version__

LIMITS = (
    "Validation metrics flatter the trials that lead: they are the best of many on the same "
    "meta-valid tasks. In the finals the best few meet on others, where the winner is the best of "
    "few. Meta-test tasks, which no choice saw, say what to expect: --test-tasks.\n\n"
    "Trials that were given up might have overtaken others later. Shares of choices come from few "
    "trials, most of them where the search expected good ones."
)


def result_of(
    plan: Plan, trials: Sequence[Row], source: TaskSource, final_tasks: int, command: str
) -> SearchResult:
    """Sums up a search; the best trial is chosen by the finals.

    Raises:
        UserError: No trial came to its end.
    """
    final_rows = finals(plan, trials, source, final_tasks)
    best = winner(trials, final_rows, plan.sign)
    if best is None:
        failed = next((row.reason for row in trials if row.reason), "the budget was spent before")
        raise UserError(
            f"search {plan.out}: needs a trial that ends with a finite validation; received none "
            f"of {len(trials)} ({failed}); raise --trials or --total-minutes, or change the space."
        )
    space, adjusted = zoomed(plan.space, trials, plan.sign, plan.zoom)
    default = default_row(trials)
    spent = sum(row.cpu_seconds for row in trials) + sum(final.cpu_seconds for final in final_rows)
    result = SearchResult(
        name=plan.name,
        tasks=source.describe(),
        metric=plan.metric.name,
        **plan.about(),
        space_now=space.to_json(),
        adjusted=adjusted,
        importance=importance(plan.space, trials, plan.sign),
        best=best,
        default=default,
        finals=final_rows,
        trials=trials,
        rank=[row.number for row in ranked(trials, plan.sign)],
        cpu_minutes=spent / 60,
        minutes=sum(row.seconds for row in trials) / 60,
        command=command,
        date=today(),
        version=__version__,
        **machine(),
    )
    return replace(result, words=words(result, plan.space, plan.budget.tasks))


def past_of(result: JSONLike, source: TaskSource, features: dict[str, float]) -> Past:
    """The record from which later searches on similar tasks may begin."""
    by_key = {choice.key: choice.option for choice in space_of(result["space"]).choices}
    best, default = result["best"], result["default"]
    fixed = {k: v for k, v in result["fixed"].items() if k.startswith(("learner.", "net."))}
    return Past(
        source.kind,
        form(source),
        features,
        fixed | {by_key[key]: value for key, value in best["choices"].items()},
        best["score"],
        None if default is None else default["score"],
        result["tasks"],
        result["date"],
    )


def words(result: JSONLike, space: Space, whole: int) -> list[str]:
    """The results and their reasons, in sentences."""
    best, default = result["best"], result["default"]
    metric = named(result["metric"])
    trials = [row for row in result["trials"] if row["state"] != "retried"]
    first = f"Trial {best['number']} is the best of {len(trials)}: {_named(best)} with "
    winner = next(iter(result["finals"]), None)
    if winner is None:
        first += f"{metric.text(best['score'])} {metric.noun} on the meta-valid tasks"
    else:
        first += (
            f"{metric.text(winner['score'], winner['ci95'])} {metric.noun} in the finals of "
            f"{len(result['finals'])} trials, on {winner['n_tasks']} further meta-valid tasks"
        )
    if default is None:
        first += "."
    elif default["number"] == best["number"]:
        first += ". It is the default configuration: nothing that was tried beats it."
    elif default["score"] is None:
        first += f"; the default configuration failed ({default['reason']})."
    elif winner is not None and winner["ahead"] is not None:
        first += (
            f", {metric.text(winner['ahead'], winner['ahead_ci95'])} better than the default "
            "configuration on the same tasks."
        )
    else:
        early = " when it was given up" if default["state"] == "given up" else ""
        reached = metric.text(default["score"])
        first += f"; the default configuration reached {reached}{early}."
    sentences = [first]
    if default is not None and default["number"] != best["number"]:
        options = {c.key: c.option for c in space.choices}
        defaults = {options[key]: value for key, value in default["choices"].items()}
        chosen = {options[key]: value for key, value in best["choices"].items()}
        changes = [
            f"{name} {_value(value)}"
            + (f" instead of {_value(defaults[name])}" if name in defaults else "")
            for name, value in chosen.items()
            if name not in defaults or defaults[name] != value
        ]
        sentences.append(f"It differs from the default in {', '.join(changes)}.")
    ends = [row["state"] for row in trials]
    share = sum(row["tasks"] for row in trials) / whole / len(trials)
    sentences.append(
        f"{ends.count('whole')} trials were trained whole, {ends.count('given up')} given up early "
        f"and {ends.count('failed')} failed: together they saw {100 * share:.0f} % "
        "of the tasks that whole trainings of all would have."
    )
    sentences += [
        f"{row['choice'].split(' (')[0]} makes {100 * row['share']:.0f} % of the differences that "
        f"single choices explain: {row['tendency']}."
        for row in result["importance"][:3]
        if row["share"] >= 0.1
    ]
    return sentences + [f"{text[0].upper()}{text[1:]}." for text in result["adjusted"]]


def write(plan: Plan, result: JSONLike, json: Path | None) -> None:
    """Writes the best configuration, the result, its figures and its page."""
    text = jsonlib.dumps(without_nan(result), indent=2).encode()
    config = yaml.safe_dump(result["best"]["options"], sort_keys=False, allow_unicode=True)
    write_atomically(plan.out / "best.yaml", config.encode())
    write_atomically(plan.out / "search.json", text)
    if json is not None:
        write_atomically(json, text)
    figures = search_figures(result)
    for figure in figures:
        figure.save(plan.out / "pictures")
    body = [
        "<h2>Why</h2>\n<ul>\n" + "\n".join(f"<li>{escape(t)}</li>" for t in result["words"][1:])
        + "\n</ul>",
        *([f"<h2>The finals</h2>\n{_finals(result)}"] if result["finals"] else []),
        page.drawings(figures),
        f"<h2>The best configuration</h2>\n<pre>{escape(config)}</pre>",
        "<p>Train it, longer if you like, with <code>quickstudy train --config best.yaml --out "
        "runs/best</code>.</p>",
        "<h2>All trials</h2>",
        _trials(result),
        page.not_shown(LIMITS),
        "<h2>Settings</h2>",
        page.settings_table([*_settings(result), *page.machine_rows(result["machine"])]),
    ]  # fmt: skip
    name = result["tasks"].get("name", "these tasks")
    page.write_page(plan.out / "search.html", f"Search on {name}", result["words"][0], body)


def show(result: JSONLike, out: Path) -> None:
    """The trials on the terminal, best first, and what was found in words."""
    metric = named(result["metric"])
    table = Table(title=f"the best of {len(result['trials'])} trials")
    for column in ("trial", metric.noun, "in the finals", "tasks", "end", "from", "learner"):
        table.add_column(column, justify="right" if column in ("trial", "tasks") else "left")
    rows = {row["number"]: row for row in result["trials"]}
    final_scores = {final["number"]: metric.text(final["score"]) for final in result["finals"]}
    order = [*final_scores, *(number for number in result["rank"] if number not in final_scores)]
    for number in order[:10]:
        row = rows[number]
        score = "" if row["score"] is None else metric.text(row["score"])
        about = (str(row["tasks"]), row["state"], row["origin"], _named(row))
        table.add_row(str(number), score, final_scores.get(number, ""), *about)
    Console().print(table)
    for text in result["words"]:
        print(text)
    for name, test in result.get("test", {}).items():
        print(f"meta-test, {name}: {metric.text(test[metric.name], test['ci95'])}")
    print(f"config: {out / 'best.yaml'}; page: {(out / 'search.html').resolve()}")


def _finals(result: JSONLike) -> str:
    metric = named(result["metric"])
    rows = {row["number"]: row for row in result["trials"]}
    lines = []
    for final in result["finals"]:
        ahead = final["ahead"]
        if ahead is not None:
            ahead = metric.text(ahead, final["ahead_ci95"])
        if rows[final["number"]]["origin"] == "default":
            ahead = "is the default"
        cells = (metric.text(final["score"], final["ci95"]), ahead or "")
        lines.append(_line(final["number"], [*cells, _named(rows[final["number"]])]))
    heads = ("trial", metric.noun, "better than the default by", "learner")
    text = f"On {result['finals'][0]['n_tasks']} meta-valid tasks that chose none of them, ± 95 %."
    return f"<p>{text}</p>\n{page.table_html('ladder lines', lines, heads)}"


def _trials(result: JSONLike) -> str:
    metric = named(result["metric"])
    rows = {row["number"]: row for row in result["trials"]}
    lines = []
    for number in result["rank"]:
        row = rows[number]
        score = "" if row["score"] is None else metric.text(row["score"])
        chosen = ", ".join(f"{k.split(' (')[0]} {_value(v)}" for k, v in row["choices"].items())
        note = f"<small>{escape(row['reason'][:200])}</small>" if row["reason"] else ""
        cells = (score, row["tasks"], row["state"], row["origin"], chosen)
        lines.append(_line(number, cells, note))
    heads = ("trial", metric.noun, "tasks seen", "end", "from", "choices")
    return page.table_html("ladder lines", lines, heads)


def _line(number: int, cells: Sequence[object], note: str = "") -> str:
    """A table row as HTML; `note` is HTML that follows the last cell."""
    return (
        f'<tr><th scope="row">{number}</th>'
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in cells[:-1])
        + f'<td style="white-space: normal; text-align: left">{escape(str(cells[-1]))}{note}'
        "</td></tr>"
    )


def _settings(result: JSONLike) -> list[tuple[str, object]]:
    budget, search = result["budget"], result["search"]
    return [
        ("command", result["command"]),
        ("tasks of a whole trial", budget["tasks"]),
        ("rungs", f"{budget['rungs']}, each with {budget['factor']} times the tasks"),
        ("sampler", search["sampler"]),
        ("space adjusted", f"every {search['zoom']} trials" if search["zoom"] else "never"),
        ("seed", search["seed"]),
        ("processor minutes", result["cpu_minutes"]),
        ("date", result["date"]),
    ]


def _named(row: JSON) -> str:
    return str(row["options"].get("learner", {}).get("name", ""))


def _value(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
