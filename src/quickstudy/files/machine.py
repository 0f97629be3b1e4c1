"""The machine: what numbers were measured on, and how its memory is used."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says what a container may have."""


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


def available_memory(device: torch.device) -> int | None:
    """Bytes that this process can still have on a device; None where that is unknown.

    On a CPU what Linux says is there, within the limit of a container.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    limits = [1024 * value for value in [_kilobytes("/proc/meminfo", "MemAvailable")] if value]
    try:
        limit, used = ((CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        limits.append(int(limit) - int(used))
    except (OSError, ValueError):  # No container, or one without a limit ("max").
        pass
    return min(limits, default=None)


def growth(work: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that work needs at most, beyond what this process has; None where that is unknown."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    try:
        Path("/proc/self/clear_refs").write_text("5")  # The peak counts from here on.
    except OSError:
        work()
        return None
    now = resident()
    work()
    peak = resident("VmHWM")
    return None if now is None or peak is None else peak - now


def resident(field: Literal["VmRSS", "VmHWM"] = "VmRSS") -> int | None:
    """Bytes of memory of this process, now or at most; None where the system does not say."""
    value = _kilobytes("/proc/self/status", field)
    return None if value is None else 1024 * value


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was not enough memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # On a CPU torch raises a RuntimeError that only its message tells apart.
    return "DefaultCPUAllocator" in str(error)


def _kilobytes(path: str, field: str) -> int | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


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
