"""One self-contained HTML page about a run.

The page needs nothing but itself: styles and figures are inside, there is no script, and its
content security policy forbids every request. Text that comes from outside is escaped. The same
arguments give the same bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from quickstudy.errors import UserError
from quickstudy.figures.sheet import Figure
from quickstudy.figures.values import known
from quickstudy.files.atomic import write_atomically
from quickstudy.files.records import JSONLike
from quickstudy.metrics import ACCURACY, METRICS, MSE, Metric
from quickstudy.task import setting_name

UNKNOWN = "not measured"
OWN = ' class="own"'

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
{lead}
</header>
{body}
</main>
</body>
</html>
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59606a; --line: #d5d9de;
  --paper: #fff; --page: #f5f6f8; --strong: #005a8f; --note: #fff6e0; --edge: #e69f00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #a3abb6; --line: #3a4049;
  --paper: #1b1f25; --page: #121519; --strong: #6cc0f2; --note: #2a2416; --edge: #e69f00; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 48rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere;
  text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 2.75rem 0 .5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); }
p { margin: .5rem 0 1rem; }
.lead { font-size: 1.1rem; color: var(--soft); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0; padding: 0; }
.cards:has(> :nth-child(4)) { grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
.cards div { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem;
  padding: .8rem 1rem; }
.cards dt { color: var(--soft); font-size: .85rem; }
.cards dd { margin: .15rem 0 0; font-size: 1.45rem; font-weight: 650; line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.cards dd small { display: block; font-size: .85rem; font-weight: 400; color: var(--soft);
  margin-top: .2rem; }
.cards div:first-child dd { color: var(--strong); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: .93rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--line); }
.settings td { overflow-wrap: anywhere; }
.ladder td, .ladder th { white-space: nowrap; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 500; }
.settings th { width: 12rem; color: var(--soft); }
tr.own th, tr.own td { font-weight: 700; color: var(--strong); }
.lines small { display: block; color: var(--soft); font-size: .85em; font-weight: 400; }
.lines td, .lines thead th + th { text-align: right; padding: .4rem 0 .4rem 1.1rem; }
.lines td.best { font-weight: 700; color: var(--strong); }
.lines tbody th { white-space: normal; min-width: 9rem; }
.lines .baseline th { font-style: italic; font-weight: 400; }
.lines .baseline small { font-style: normal; }
main:has(.lines) { max-width: 60rem; }
main:has(.lines) :is(p, figure, .limits, .notes) { max-width: 46rem; }
.notes { color: var(--soft); font-size: .92rem; padding-left: 1.5rem; }
figure { margin: 1.5rem 0; background: #fff; border: 1px solid var(--line);
  border-radius: .6rem; overflow: hidden; }
figure img { display: block; width: 100%; height: auto; padding: .4rem; }
figcaption { background: var(--paper); border-top: 1px solid var(--line); color: var(--soft);
  font-size: .92rem; padding: .6rem 1rem; }
.limits { background: var(--note); border-left: .3rem solid var(--edge); border-radius: .3rem;
  padding: .2rem 1.1rem; margin: 1rem 0; }
code { font: .88em ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media (max-width: 34rem) { .ladder { font-size: .85rem; }
  .ladder td:last-child { white-space: normal; } }
@media print { body { background: #fff; } figure, tr { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Attributes:
        heading: Plain text.
        text: Plain text; an empty line starts a paragraph.
        evaluation: Shown as headline numbers and a table beside its baselines.
        figures: Shown below.
    """

    heading: str
    text: str = ""
    evaluation: JSONLike | None = None
    figures: Sequence[Figure] = ()


def write_report(
    path: str | Path,
    *,
    title: str,
    summary: JSONLike,
    evaluations: Sequence[JSONLike],
    figures: Sequence[Figure] = (),
    sections: Sequence[Section] = (),
    lead: str = "",
    limits: str = "",
) -> Path:
    """Writes the page of a run: headline, baselines, figures, sections, settings, limits.

    Args:
        path: File to write, whole or not at all.
        title: Heading of the page.
        summary: Further settings of the run, shown under their names.
        evaluations: What `evaluate` measured; the first is the headline, and its settings are
            shown. A number that is missing or null is shown as not measured.
        figures: Shown with their captions.
        sections: Further parts, such as a shift of domain.
        lead: Plain text under the title.
        limits: What the numbers do not show, in plain text.

    Returns:
        The path.

    Raises:
        UserError: There is no evaluation, or one has an unknown metric.
    """
    if not evaluations:
        raise UserError(
            "write_report: need at least one evaluation; received none; evaluate the run first."
        )
    first, *others = evaluations
    body = [_result(first), drawings(figures)]
    for other in others:
        body += [f"<h2>{escape(_setting(other))}</h2>", _result(other)]
    for section in sections:
        body += [f"<h2>{escape(section.heading)}</h2>", paragraphs(section.text)]
        body += [_result(section.evaluation)] if section.evaluation is not None else []
        body += [drawings(section.figures)]
    body += [not_shown(limits), "<h2>Settings</h2>", _settings(first, summary)]
    return write_page(path, title, lead, body)


def write_page(path: str | Path, title: str, lead: str, body: Iterable[str]) -> Path:
    """Writes a page of these parts, whole or not at all.

    Args:
        path: File to write.
        title: Heading, in plain text.
        lead: Plain text under it.
        body: Parts as HTML; empty ones are left out.
    """
    page = PAGE.format(
        title=escape(title),
        style=STYLE,
        lead=paragraphs(lead, ' class="lead"'),
        body="\n".join(part for part in body if part),
    )
    write_atomically(Path(path), page.encode())
    return Path(path)


def not_shown(limits: str) -> str:
    """The part that says what the numbers do not show; empty without any text."""
    if not limits:
        return ""
    text = paragraphs(limits)
    return f'<h2>What this does not show</h2>\n<div class="limits">\n{text}\n</div>'


def _result(evaluation: JSONLike) -> str:
    """The headline numbers of an evaluation, and the learner among its baselines."""
    metric = _metric(evaluation)
    baselines = sorted(
        (evaluation.get("baselines") or {}).items(),
        key=lambda item: metric.rank(item[1].get(metric.name)),
    )
    n, n_disjoint = evaluation.get("n_tasks"), evaluation.get("n_tasks_disjoint")
    cards = [
        (
            f"{metric.title}, {_setting(evaluation)}",
            _value(evaluation, metric, metric.name, "ci95"),
            f"95 % confidence interval over {_count(n)} tasks",
        )
    ]
    if (disjoint := f"{metric.name}_disjoint") in evaluation or "ci95_disjoint" in evaluation:
        many = f"{_count(n_disjoint)} " if n_disjoint is not None else ""
        cards.append((
            f"The same over {many}disjoint tasks",
            _value(evaluation, metric, disjoint, "ci95_disjoint"),
            "no example is in two tasks, so the interval does not lean on repeats",
        ))  # fmt: skip
    if baselines:
        name, best = baselines[0]
        cards.append((
            f"Best baseline: {name}{_on_fewer(best)}",
            _value(best, metric, metric.name, "ci95"),
            f"paired difference {_difference(best, metric)}",
        ))  # fmt: skip
    if metric.kind == "classification":
        ece = ACCURACY.text(evaluation["ece"]) if known(evaluation, "ece") else UNKNOWN
        note = "mean gap between confidence and accuracy"
        if known(evaluation, "ece_uncalibrated"):
            raw = ACCURACY.text(evaluation["ece_uncalibrated"])
            note += f"; without a temperature {raw}"
        cards.append(("Calibration error", ece, note))
    cards_html = "\n".join(
        f"<div><dt>{escape(what)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for what, value, note in cards
    )
    return f'<dl class="cards">\n{cards_html}\n</dl>\n{_ladder(evaluation, baselines, metric)}'


def _ladder(evaluation: JSONLike, baselines: Sequence[tuple[str, JSONLike]], metric: Metric) -> str:
    """The table of the learner among its baselines, the best first; empty without baselines."""
    if not baselines:
        return ""
    learner = str(evaluation.get("learner") or "the learner")
    rows = [(learner, evaluation, "–")]
    rows += [(f"{name}{_on_fewer(row)}", row, _difference(row, metric)) for name, row in baselines]
    rows.sort(key=lambda row: metric.rank(row[1].get(metric.name)))
    lines = [
        f'<tr{OWN if row is evaluation else ""}><th scope="row">{escape(name)}</th>'
        f"<td>{_value(row, metric, metric.name, 'ci95')}</td><td>{escape(difference)}</td></tr>"
        for name, row, difference in rows
    ]
    better = "higher" if metric.larger_is_better else "lower"
    caption = (
        f"On the same tasks with the same support examples; {better} is better. The difference is "
        f"{escape(learner)} minus the method, paired by task."
    )
    return table_html("ladder", lines, ["method", metric.noun, "difference"], caption)


def _on_fewer(row: JSONLike) -> str:
    """The number of tasks of a baseline, where it was measured on the first of them alone."""
    return f", on the first {row['n_tasks']} tasks" if "n_tasks" in row else ""


def _settings(evaluation: JSONLike, summary: JSONLike) -> str:
    """The settings that reproduce the numbers."""
    names = {
        "learner": "learner", "tasks": "tasks", "split": "split", "norm": "norm", "seed": "seed",
        "n_way": "ways", "n_shot": "shots", "n_query": "queries a class",
        "n_tasks": "test tasks", "minutes": "minutes", "date": "date", "command": "command",
    }  # fmt: skip
    if _metric(evaluation).kind == "regression":
        names |= {"n_shot": "support examples", "n_query": "queries"}
        del names["n_way"]
    rows = [(label, evaluation.get(key)) for key, label in names.items()]
    return settings_table([*rows, *machine_rows(evaluation.get("machine")), *summary.items()])


def machine_rows(machine: Any) -> list[tuple[str, Any]]:
    """The machine of a measurement, as rows of a table of settings."""
    parts = machine.items() if isinstance(machine, Mapping) else [("", machine)]
    return [(f"machine {key}".strip(), value) for key, value in parts]


def settings_table(rows: Iterable[tuple[str, Any]]) -> str:
    """A table of names and values; a value that is None was not recorded."""
    lines = [
        f'<tr><th scope="row">{escape(str(label))}</th><td>{_cell(label, value)}</td></tr>'
        for label, value in rows
    ]
    return table_html("settings", lines)


def table_html(
    kind: str, rows: Iterable[str], columns: Sequence[str] = (), caption: str = ""
) -> str:
    """A table as HTML, which scrolls by itself where it is too wide.

    Args:
        kind: Its classes.
        rows: Its rows as HTML.
        columns: Heads of the columns as HTML; no head where empty.
        caption: As HTML; none where empty.
    """
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    parts = [
        f'<div class="scroll">\n<table class="{kind}">',
        f"<caption>{caption}</caption>" if caption else "",
        f"<thead><tr>{heads}</tr></thead>" if heads else "",
        *("<tbody>", *rows, "</tbody>\n</table>\n</div>"),
    ]
    return "\n".join(part for part in parts if part)


def _cell(label: str, value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, float):
        return escape(f"{value:.4g}")
    text = escape(str(value))
    return f"<code>{text}</code>" if label == "command" else text


def drawings(figures: Iterable[Figure]) -> str:
    """Figures as images inside the page: their ids cannot clash and their text cannot run."""
    return "\n".join(
        f"<figure>\n{image(figure)}\n<figcaption>{escape(figure.caption)}</figcaption>\n</figure>"
        for figure in figures
    )


def image(figure: Figure) -> str:
    """The `<img>` of a figure, which needs no file beside the page."""
    source = embedded("image/svg+xml", figure.svg)
    return f'<img alt="{escape(figure.title)}" src="{source}">'


def embedded(kind: str, text: str) -> str:
    """The address that a text of a media type has inside a page."""
    return f"data:{kind};base64,{b64encode(text.encode()).decode()}"


def paragraphs(text: str, attributes: str = "") -> str:
    parts = (part.strip() for part in text.split("\n\n"))
    return "\n".join(f"<p{attributes}>{escape(part)}</p>" for part in parts if part)


def _setting(evaluation: JSONLike) -> str:
    n_way = None if _metric(evaluation).kind == "regression" else evaluation.get("n_way")
    name, tasks = setting_name(n_way, evaluation.get("n_shot")), evaluation.get("tasks")
    return f"{name} on {tasks}".strip() if tasks else name or "evaluation"


def _metric(evaluation: JSONLike) -> Metric:
    name = evaluation.get("metric") or (MSE if MSE.name in evaluation else ACCURACY).name
    if name not in METRICS:
        raise UserError(
            f"write_report: an evaluation's metric must be one of {sorted(METRICS)}; received "
            f"{name!r}; write it with quickstudy evaluate."
        )
    return METRICS[name]


def _value(row: JSONLike, metric: Metric, key: str, ci: str) -> str:
    if not known(row, key):
        return UNKNOWN
    return metric.text(row[key], row[ci] if known(row, ci) else None)


def _difference(row: JSONLike, metric: Metric) -> str:
    """The learner minus the baseline: in points for an accuracy."""
    if not known(row, "difference"):
        return UNKNOWN
    interval = row["difference_ci95"] if known(row, "difference_ci95") else None
    text = metric.difference_text(row["difference"], interval)
    return f"{'−' if row['difference'] < 0 else '+'}{text}"


def _count(n: Any) -> str:
    return f"{n:,}" if isinstance(n, int) else "an unrecorded number of"
