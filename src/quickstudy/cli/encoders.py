"""`quickstudy encoders`: lists, downloads and exports frozen pretrained encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from quickstudy.cli.console import print_json, print_table
from quickstudy.encoders import encoder, network
from quickstudy.encoders.backend import missing_packages
from quickstudy.errors import UserError
from quickstudy.files.records import JSON


def encoders(
    doing: Literal["list", "get", "export"] | None = None,
    which: str | None = None,
    onnx_file: Path | None = None,
    max_megabytes: int = 2000,
    json: bool = False,
) -> int:
    """List frozen pretrained encoders; make one ready, or export one to ONNX.

    Args:
        doing: `list` encoders; `get` one, which downloads one of the hub, and checks one that is
            here; or `export` one.
        which: The encoder; hf:ORG/NAME@COMMIT for one of the hub.
        onnx_file: File NAME.onnx to export to; NAME.json beside it says how inputs are made.
        max_megabytes: Largest size of what is downloaded.
        json: Whether to print the list as JSON.
    """
    if doing in (None, "list"):
        return _list(json)
    if which is None or (doing == "export") != (onnx_file is not None):
        example = "get hf:ORG/NAME@COMMIT" if doing == "get" else "export photos photos.onnx"
        needs = "an encoder and a file" if doing == "export" else "the name of one encoder"
        received = " and ".join(map(str, filter(None, (which, onnx_file)))) or "none"
        raise UserError(
            f"encoders {doing}: needs {needs}; received {received}; write quickstudy encoders "
            f"{example}."
        )
    if doing == "get":
        from quickstudy.encoders.hub import PREFIX, get

        if not which.startswith(PREFIX):
            return _ready(which)
        got = get(which, max_megabytes * 10**6, print)
        print(f"{got.name}: {got.takes} to {got.n_features} features, licence {got.licence or '?'}")
        return 0
    from quickstudy.encoders.written import write_graph

    assert onnx_file is not None
    chosen = encoder(which)
    for file in write_graph(chosen, network(chosen, chosen.backends[0]), onnx_file):
        print(file)
    return 0


def _ready(which: str) -> int:
    """Checks an encoder that is here, and fills the cache with what is made of it."""
    chosen = encoder(which)
    for backend in chosen.backends:
        if not missing_packages(backend):
            network(chosen, backend)
            print(f"{chosen.name}: its sha256 is right, and {backend} computes it")
    return 0


def _list(json: bool) -> int:
    from quickstudy.encoders.listing import listing

    rows = listing()
    if json:
        print_json({"encoders": rows})
        return 0
    print_table(
        "frozen pretrained encoders",
        ["name", "takes", "licence", "MB", "sha256", "here"],
        [_cells(row) for row in rows],
        numbers=False,
    )
    for row in rows:
        if row["present"]:
            print(f"{row['name']}: {row['about']}; at {row['place']}")
        else:
            print(f"{row['name']}: {row.get('error', row['about'])}; {row['get']}")
    return 0


def _cells(row: JSON) -> list[str]:
    backends = " and ".join(row.get("backends", ()))
    return [
        row["name"] + (f" ({row['alias']})" if row["alias"] else ""),
        row.get("takes", "?"),
        row.get("licence", "?"),
        str(row["megabytes"]),
        row.get("weights", "?")[:12],
        f"yes, by {backends}" if row["present"] else "no",
    ]
