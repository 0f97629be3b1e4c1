"""`quickstudy models`: lists the models that have a name."""

from __future__ import annotations

from quickstudy.cli.console import print_json, print_table
from quickstudy.files.records import JSON
from quickstudy.metrics import named
from quickstudy.models.named import named_models


def models(json: bool = False) -> int:
    """List the models that come with quickstudy, and what was measured with each.

    The name of a model may stand wherever a run directory may, unless a folder has that name.

    Args:
        json: Whether to print JSON, with all that is recorded of each measurement.
    """
    listed = named_models().values()
    if json:
        print_json([model.to_json() for model in listed])
        return 0
    for model in listed:
        print(f"{model.name}: {model.about}")
        print(f"  takes    {model.takes}")
        print(f"  made     {model.made}")
        print(f"  size     {model.n_bytes / 1000:,.0f} kB")
        print(f"  licence  {model.licence}")
        if model.results:
            rows = [(row["data"], row["setting"], measured(row)) for row in model.results]
            print_table("", ("measured on", "tasks", "result"), rows, numbers=False)
    return 0


def measured(row: JSON) -> str:
    """The value of a recorded measurement, with its interval and what it is."""
    metric = named(row["metric"])
    return f"{metric.text(row[metric.name], row['ci95'])} {metric.noun}"
