"""The meeting of the processes that torchrun started, the first time and after a restart.

The store of a launch outlives a group: one that is started again finds the addresses of the group
before it there, and would wait for processes that are gone. So each group meets first and then
uses names of its own.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from datetime import timedelta

from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from quickstudy.errors import QuickstudyError

PATIENCE = 600.0
"""Seconds in which all processes of a group must have come."""
PAUSE = 0.05
LEAVING = 60.0
"""Seconds for which a process at its end waits for the others."""


def launch_store() -> Store:
    """The store of this launch, at the address that torchrun gives."""
    return TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=not _outlives_groups() and os.environ["RANK"] == "0",
        timeout=timedelta(seconds=PATIENCE),
        wait_for_workers=False,
        multi_tenant=True,
    )


def meet(store: Store, rank: int, size: int, patience: float = PATIENCE) -> Store:
    """A part of the store for this very group, once all its processes have come.

    Each process writes a word of its own. The first answers each word that it reads with the name
    of its group, and a process takes part in the last group that its word was answered with. As a
    word is never used twice, none is mistaken for that of a process that is gone.

    Args:
        store: The store of the launch.
        rank, size: This process's rank, and the number of processes.
        patience: Seconds to wait for the others.

    Raises:
        QuickstudyError: The others did not come.
    """
    word = secrets.token_hex(8)
    store.set(f"word/{rank}", word)
    until = time.monotonic() + patience
    answered: set[str] = set()
    group = word if rank == 0 else ""
    while not (group and store.check([f"complete/{group}"])):
        if rank == 0:
            words = [_read(store, f"word/{other}") for other in range(size)]
            for other in {*filter(None, words)} - answered:
                store.set(f"group/{other}", group)
            answered |= {*filter(None, words)}
            taking_part = [_read(store, f"{group}/{other}") for other in range(1, size)]
            if None not in taking_part and taking_part == words[1:]:
                store.set(f"complete/{group}", "yes")
        elif (answer := _read(store, f"group/{word}")) not in (None, group):
            group = str(answer)
            store.set(f"{group}/{rank}", word)
        if time.monotonic() > until:
            raise QuickstudyError(
                f"process {rank + 1} of {size}: all processes of a group must meet; received "
                f"no word from some within {patience:.0f} seconds; look whether all were started, "
                f"and whether each reaches {os.environ.get('MASTER_ADDR')} at port "
                f"{os.environ.get('MASTER_PORT')}."
            )
        time.sleep(PAUSE)
    return PrefixStore(group, store)


def leave(store: Store, rank: int, size: int, patience: float = LEAVING) -> None:
    """Returns once all processes of a group have come here, or when some do not come.

    A process that ends closes its connections: what another has not read from them yet is lost, so
    that a run that is done would fail there, and be started again.

    Args:
        store: That of this group.
        rank, size: This process's rank, and the number of processes.
        patience: Seconds to wait for the others.
    """
    with suppress(RuntimeError):  # The store goes with the first process, once that has seen all.
        store.set(f"leaving/{rank}", "yes")
        store.wait([f"leaving/{other}" for other in range(size)], timedelta(seconds=patience))


def remember(name: str) -> None:
    """Leaves a name for later groups of this launch, if there can be any."""
    if _outlives_groups():
        launch_store().set(name, "yes")


def remembered(name: str) -> bool:
    """Whether a group of this launch left this name."""
    return _outlives_groups() and launch_store().check([name])


def _outlives_groups() -> bool:
    """Whether the store is that of torchrun itself, rather than of the first process."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _read(store: Store, key: str) -> str | None:
    """The value of a key; None where it is not there yet."""
    return store.get(key).decode() if store.check([key]) else None
