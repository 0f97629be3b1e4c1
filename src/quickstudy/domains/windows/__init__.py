"""Windows of series and of tracks: forecasting, and where pedestrians go."""

from quickstudy.domains.windows.made import (
    make_scenes,
    make_series,
    write_scenes,
    write_series,
)
from quickstudy.domains.windows.metrics import ADE, FDE, MASE, OWA, SMAPE
from quickstudy.domains.windows.series_tasks import SeriesTasks, Timeline, windows
from quickstudy.domains.windows.track_tasks import TrackTasks, eth_ucy

__all__ = [
    "ADE",
    "FDE",
    "MASE",
    "OWA",
    "SMAPE",
    "SeriesTasks",
    "Timeline",
    "TrackTasks",
    "eth_ucy",
    "make_scenes",
    "make_series",
    "windows",
    "write_scenes",
    "write_series",
]
