"""One contender in a process of its own, which does its work once for each line it is sent.

`step` answers with the seconds it took; `peak` with the bytes the process needed at most beyond
what it had when it was ready; `gradient PATH` keeps its gradient in float64.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from ours import OURS
from peers import PEERS
from work import Work

from quickstudy.files.machine import resident


def main(who: str, work: Work) -> None:
    make = (OURS | PEERS)[who, work.kind]
    torch.manual_seed(0)
    step, _ = make(work, torch.float32)
    # Peaks count from here on.
    Path("/proc/self/clear_refs").write_text("5")
    ready = resident()
    for line in map(str.split, sys.stdin):
        found: object = None
        if line[0] == "step":
            started = time.perf_counter()
            step()
            found = time.perf_counter() - started
        elif line[0] == "peak":
            found = resident("VmHWM") - ready
        elif line[0] == "gradient":
            exact, parameters = make(work, torch.float64)
            exact()
            np.savez(line[1], *[p.grad.numpy() for p in parameters if p.grad is not None])
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Work(**json.loads(sys.argv[2])))
