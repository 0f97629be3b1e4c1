"""The shell commands of the page about serving are run, against a server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from item_runs import make_films
from series_runs import make_series
from served_runs import picture, serving
from test_policy_models import policies
from test_practise_command import written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "serve.md"


def test_the_commands_run(runs: dict[str, Path], tmp_path: Path) -> None:
    for program in ("bash", "curl", "base64", "python3"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on the PATH")
    shutil.copytree(runs["drawn"], tmp_path / "glyphs")
    make_series(tmp_path / "hourly")
    make_films(tmp_path / "films")
    written(tmp_path / "nav", policies())
    for shape, name in enumerate(("ring", "stroke")):
        for i in (1, 2, 3):
            (tmp_path / f"{name}{i}.png").write_bytes(picture(shape, i))
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    runs_served = [tmp_path / name for name in ("glyphs", "hourly", "films", "nav")]
    with serving(runs_served, tmp_path / "serving") as server:
        for block in blocks:
            script = "set -euo pipefail\n" + block.replace("http://127.0.0.1:8000", server.url)
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=tmp_path,
                env=os.environ | {"QUICKSTUDY_KEY": "none", "no_proxy": "*"},
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, block + done.stdout + done.stderr
