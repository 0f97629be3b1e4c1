"""The numbers of a figure as tables."""

from __future__ import annotations

from html import escape
from typing import Any, NamedTuple

from quickstudy.figures.sheet import Figure


class Table(NamedTuple):
    """A name, and records with the same keys."""

    name: str
    rows: list[dict[str, Any]]


def tables(figure: Figure) -> list[Table]:
    """The records that a figure was drawn from, or what they stand for."""
    data = figure.data
    if figure.name == "episode_grid":
        labels = data["labels"]
        sure = data["confidence"] or [None] * len(data["truth"])
        answers = zip(data["truth"], data["predicted"], sure, strict=True)
        rows = [
            {"query": i, "is": labels[truth], "called": labels[chosen], "confidence": confidence}
            for i, (truth, chosen, confidence) in enumerate(answers, start=1)
        ]
        return [Table("queries", rows)]
    all_tables = []
    for name, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            all_tables.append(Table(name, value))
        elif isinstance(value, dict):
            rows = [{"method": method, **row} for method, its in value.items() for row in its]
            all_tables.append(Table(name, rows))
    return all_tables


def tables_html(figure: Figure) -> str:
    """The tables of a figure as HTML."""
    return "\n".join(map(_table, tables(figure)))


def _table(table: Table) -> str:
    columns = list(dict.fromkeys(key for row in table.rows for key in row))
    heads = "".join(f'<th scope="col">{_text(column)}</th>' for column in columns)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{_text(row.get(column))}</td>' for column in columns)}</tr>"
        for row in table.rows
    )
    return (
        f"<table>\n<caption>{_text(table.name)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value).replace("_", " "))
