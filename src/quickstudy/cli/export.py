"""`quickstudy export`: writes an adapted model for other runtimes."""

from __future__ import annotations

from pathlib import Path

from quickstudy.models.export import BATCHES, TOLERANCE
from quickstudy.models.saved import load_task


def export(task: Path, file: Path, metadata_json: bool = False) -> int:
    """Write an adapted model as a file that runs without quickstudy.

    Args:
        task: File that `quickstudy adapt` wrote.
        file: What to write: .onnx for ONNX, .pt2 for torch.export.
        metadata_json: Also write classes, temperature and preprocessing beside it, as FILE.json.
    """
    load_task(task).export(file, metadata_json)
    *some, last = BATCHES
    print(
        f"{file}: {file.stat().st_size / 1000:,.0f} kB; says what {task} says, within "
        f"{TOLERANCE:g}, on {', '.join(map(str, some))} and {last} queries"
    )
    if metadata_json:
        print(f"{file}.json: its classes, temperature and preprocessing")
    return 0
