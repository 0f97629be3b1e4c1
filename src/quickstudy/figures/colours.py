"""The colours, marks and dashes of figures.

The colours of series are those of Okabe and Ito (Color Universal Design, 2008), and nothing is told
by colour alone.
"""

from __future__ import annotations

from typing import Any

INK, SOFT, FAINT, BLUE, VERMILLION = "#1f2328", "#646b75", "#d5d9de", "#0072b2", "#d55e00"
SERIES = (BLUE, VERMILLION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
GREY = "#aab4bf"
MARKERS = "osD^vPX"
DASHED: Any = (0, (4, 3))
