"""Windows of series and of tracks: forecasting, and where pedestrians go."""

from quickstudy.domains.windows.series_tasks import SeriesTasks, Timeline, windows
from quickstudy.domains.windows.track_tasks import TrackTasks, eth_ucy

__all__ = ["SeriesTasks", "Timeline", "TrackTasks", "eth_ucy", "windows"]
