"""The machine: what numbers were measured on, and how its memory is used."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """The processor, its threads, and the versions that count, under the key `machine`."""
    return {
        "machine": {
            "cpu": _cpu_name(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "python": platform.python_version(),
            "torch": torch.__version__,
        }
    }


def keep_memory() -> bool:
    """Has freed memory kept for the next tensors of this process; whether that could be done.

    The C library of Linux gives large tensors back to the system as soon as they are freed, and the
    system clears each page again when it is next touched, which takes longer than to compute with
    it, on a virtual machine above all. For processes of their own, such as the command line: freed
    memory is not there for others until the process ends. Does nothing where the environment has
    settings of its own (`MALLOC_...`, `GLIBC_TUNABLES`), or on other systems.
    """
    chosen = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if chosen or sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(option, value) for option, value in _KEEPING.items())


_KEEPING = {-4: 0, -1: 2**31 - 1, -2: 2**26, -8: 1}
"""M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD and M_ARENA_MAX of malloc.h: no memory of its own for a
large tensor, none given back, 64 MiB more at a time, and one arena for all threads."""


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
