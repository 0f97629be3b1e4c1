"""The command line: every command is a function, and its options are that function's signature."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import get_type_hints

from quickstudy import catalog
from quickstudy.cli.options import Parser
from quickstudy.encoders import Backend, use_backend
from quickstudy.errors import QuickstudyError
from quickstudy.files.machine import keep_memory
from quickstudy.training.signatures import REQUIRED
from quickstudy.version import __version__

OVERVIEW = """\
quickstudy: learn a new task from a handful of examples

examples:
  quickstudy demo                                          see it work, offline, in minutes
  quickstudy train --learner PrototypicalNetwork --tasks glyphs --steps 2000 --out runs/glyphs
  quickstudy evaluate runs/glyphs --n-way 20 --json out.json
  quickstudy search --tasks glyphs --trials 30 --out searches/glyphs
  quickstudy models                                        models that come with quickstudy
  quickstudy adapt drawings --support my_folder/ --out mine.task
  quickstudy predict mine.task photo1.png photo2.png
  quickstudy explain mine.task photo1.png
  quickstudy export mine.task mine.onnx
  quickstudy serve                                         API and page at http://127.0.0.1:8000

commands:
"""
POSITIONAL = ("run", "task", "file", "recipe", "name", "action")
SEVERAL = {
    "inputs": "Pictures, folders or patterns of them; one CSV file; or texts, in words or files.",
    "runs": "Run directories, or names of models that come with quickstudy.",
}
OPTIONAL = {
    "place": "Folder or file of your own data; the same as --path.",
    "doing": "list, which is the default; get, to download or check one; or export.",
    "which": "The encoder; hf:ORG/NAME@COMMIT for one of the hub.",
    "onnx_file": "File NAME.onnx to export to; NAME.json beside it says how inputs are made.",
    "run": "Run directory or name of the meta-trained model; none where --encoder needs none.",
}
"""Positional arguments of functions that have a default for them."""
ENCODING = ("predict", "explain", "evaluate", "serve")
BACKEND = (
    "What computes the features of a frozen encoder: torch, or onnx for ONNX Runtime. Where "
    "omitted, what the file or run says."
)
"""Commands that use the encoder of a file or run, and the help of their option for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # A name that it cannot carry must not end the work.
            stream.reconfigure(errors="backslashreplace")
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] == "--version":
        print(__version__)
        return 0
    if words[0] != "serve":  # a server runs for long, and must give memory back
        keep_memory()
    try:
        command = catalog.lookup("command", words[0], COMMANDS)
        return command(words[1:])
    except QuickstudyError as error:
        print(f"quickstudy: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("quickstudy: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"quickstudy: failed; {error}", file=sys.stderr)
        return 1


def overview() -> str:
    """The text of `quickstudy --help`."""
    lines = (
        f"  {name:<10} {str(_function(name).__doc__).splitlines()[0]}"
        for name in (*PARSERS, *FUNCTIONS)
    )
    return OVERVIEW + "\n".join(lines) + "\n\nquickstudy COMMAND --help says more."


def _function(name: str) -> Callable[..., int]:
    """The function of a command; its module is loaded now, for most commands need few packages."""
    module = import_module(f"quickstudy.cli.{MODULES.get(name, name)}")
    function: Callable[..., int] = getattr(module, name)
    return function


def _parse(name: str, argv: Sequence[str]) -> int:
    """Runs a command that parses its options itself."""
    return _function(name)(argv)


def _run(name: str, argv: Sequence[str]) -> int:
    """Runs a command whose options are the signature of a function.

    Where a parameter is a dataclass, its fields are options: under the parameter's name if it has a
    default, else beside the others.
    """
    function = _function(name)
    parser = Parser(prog=f"quickstudy {name}", description=f"example:\n  {FUNCTIONS[name]}\n")
    parameters = inspect.signature(function).parameters
    types = get_type_hints(function)
    records = {key: types[key] for key in parameters if is_dataclass(types[key])}
    flat = {key: record for key, record in records.items() if parameters[key].default is REQUIRED}
    optional = [key for key in OPTIONAL if key in parameters and parameters[key].default is None]
    others: set[str | int] = {*(parameters.keys() - set(POSITIONAL)), *optional}
    parser.add_function_arguments(function, as_group=False, as_positional=True, skip=others)
    for paths in SEVERAL.keys() & parameters.keys():
        takes_text = "text" in parameters  # in their place, or as one of them
        required = parameters[paths].default is inspect.Parameter.empty and not takes_text
        each, nargs = str if takes_text else Path, "+" if required else "*"
        parser.add_argument(paths, type=each, nargs=nargs, help=SEVERAL[paths])
    for path in optional:
        parser.add_argument(path, type=types[path], nargs="?", default=None, help=OPTIONAL[path])
    if name in ENCODING:
        parser.add_argument("--encoder.backend", type=Backend | None, default=None, help=BACKEND)
    for record in flat.values():
        parser.add_class_arguments(record)
    parser.add_function_arguments(function, skip={*POSITIONAL, *SEVERAL, *OPTIONAL, *flat})
    options = parser.read(argv).as_dict()
    backend = (options.get("encoder") or {}).get("backend")
    if name in ENCODING:
        del options["encoder"]
    for key, record in records.items():
        own = options if key in flat else options[key]
        options[key] = record(**{field.name: own.pop(field.name) for field in fields(record)})
    with use_backend(backend):
        return function(**options)


MODULES = {"generated": "tables", "keys": "serve"}
"""Modules of commands that stand beside another one; all others have the name of the command."""
PARSERS = ("train", "estimate", "compare", "select", "search", "cache")
"""Commands that parse their options themselves."""
FUNCTIONS = {
    "evaluate": "quickstudy evaluate runs/glyphs --n-way 20 --json out.json",
    "models": "quickstudy models",
    "adapt": (
        "quickstudy adapt --encoder photos --support my_pictures/ --out mine.task\n"
        "  quickstudy adapt --encoder sentences --support intents.csv --out router.task\n"
        "  quickstudy adapt runs/glyphs --support my_folder/ --out mine.task\n"
        "  quickstudy adapt runs/weekly --support sales.csv --out sales.task"
    ),
    "practise": (
        "quickstudy practise runs/nav --world '{\"goal\": [0.3, -0.2]}' --out mine.task\n"
        "  quickstudy practise runs/nav --episodes 10 --updates 3 --out mine.task --pictures played"
    ),
    "act": (
        "quickstudy act mine.task --observation '[0.1, 0.2]'\n"
        "  quickstudy act mine.task --seed 0 < observations.jsonl"
    ),
    "predict": "quickstudy predict mine.task photo1.png photo2.png",
    "explain": "quickstudy explain mine.task photo1.png --pictures why",
    "export": "quickstudy export mine.task mine.onnx",
    "generated": "quickstudy generated mine.task --pictures why",
    "tables": "quickstudy tables runs/fold0 runs/fold1 --json results.json",
    "reproduce": "quickstudy reproduce recipes/sinusoid-maml.yaml",
    "data": (
        "quickstudy data table customers.csv\n  quickstudy data windows sales.csv"
        f"\n\nnames: {', '.join(catalog.SOURCES)}"
    ),
    "encoders": "quickstudy encoders export photos photos.onnx",
    "doctor": "quickstudy doctor",
    "demo": "quickstudy demo --out demo",
    "serve": "quickstudy serve runs/glyphs --port 8000 --data-dir serving",
    "keys": "quickstudy keys create --tenant acme --scope adapt,predict,read",
}
"""Commands whose options are the signature of a function, each with an example."""
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    **{name: partial(_parse, name) for name in PARSERS},
    **{name: partial(_run, name) for name in FUNCTIONS},
}
