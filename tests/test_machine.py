"""What the machine is asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from quickstudy.files.machine import available_memory

FAULTS = """
import resource, torch
from quickstudy.files.machine import keep_memory
kept = keep_memory()
for _ in range(24):
    torch.ones(10 * 2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    torch.ones(10 * 2**20)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[str, int]:
    """Whether memory is kept, and how often pages came anew for two tensors of 40 MiB.

    They come after 24 others: glibc before 2.38 asks for a little more than an aligned block needs
    and keeps the rest in a list of seven small blocks for the thread, between the large block and
    free memory. Until these lists are full, which depends on all that the process did before, a
    freed block is a few bytes too small for the next tensor of its size.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUN"))}
    run = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kept, number = run.stdout.split()
    return kept, int(number)


def test_a_container_has_what_its_limit_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quickstudy.files.machine.CGROUP", tmp_path)
    cpu = torch.device("cpu")
    outside = available_memory(cpu)
    (tmp_path / "memory.max").write_text("5000000\n")
    (tmp_path / "memory.current").write_text("2000000\n")
    assert available_memory(cpu) == 3_000_000
    (tmp_path / "memory.max").write_text("max\n")
    unlimited = available_memory(cpu)
    assert (unlimited is None) == (outside is None)
    assert unlimited is None or unlimited > 3_000_000


HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")


@pytest.mark.skipif(sys.platform != "linux", reason="asks the C library of Linux")
@pytest.mark.skipif(
    HUGE.exists() and "[always]" in HUGE.read_text(), reason="pages are huge here, and faults few"
)
def test_freed_memory_is_taken_again() -> None:
    kept, number = faults()
    if kept == "False":
        pytest.skip("another C library than glibc")
    assert number < 100
    left, untouched = faults(MALLOC_ARENA_MAX="4")
    assert left == "False", "the settings of the environment are not overruled"
    assert untouched > 2 * 10_000
