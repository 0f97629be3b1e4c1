"""The options of the command line, read from the signatures of what they configure."""

from __future__ import annotations

import json
import re
from argparse import ArgumentError, HelpFormatter
from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar

import yaml
from jsonargparse import ArgumentParser, Namespace

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.training.plan import (
    DEFAULTS,
    RESUME,
    flat,
    hyphened,
    names_of,
    signatures,
    unknown_option,
)
from quickstudy.training.settings import Training
from quickstudy.training.signatures import Option, Signature

TRAIN_EXAMPLES = """\
examples:
  quickstudy train --learner PrototypicalNetwork --tasks glyphs --n-way 5 --n-shot 1 --out runs/a
  quickstudy train --learner MAML --learner.inner-steps 3 --tasks sinusoid --out runs/b
  quickstudy train --tasks folder --tasks.path my_classes/ --net.hidden 32 --out runs/c
  quickstudy train --config recipe.yaml --outer-lr 0.01 --out runs/d
  quickstudy train --resume runs/a --steps 4000
  torchrun --nproc-per-node 2 -m quickstudy train --tasks glyphs --out runs/e --resume auto
"""
ESTIMATE_EXAMPLES = """\
examples:
  quickstudy estimate --learner MAML --tasks glyphs --n-way 5 --n-shot 1
  quickstudy estimate --config recipe.yaml --learner.inner-steps 20 --json need.json
"""
SEARCH_EXAMPLES = """\
examples:
  quickstudy search --tasks glyphs --n-way 5 --n-shot 1 --trials 30 --out searches/glyphs
  quickstudy search --tasks folder --tasks.path my_classes/ --workers 2 --out searches/mine
  quickstudy search --tasks sinusoid --learner MAML --steps 1000 --out searches/maml
  quickstudy search --tasks glyphs --space space.yaml --out searches/narrow
  quickstudy search --tasks glyphs --print-space

Options of training that are given hold for all trials; the others of the space are searched.
The same command goes on with a search that was stopped, or joins one that runs.
"""
# By command: its examples, its files, and the settings of training that it decides itself.
COMMAND: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "train": (
        TRAIN_EXAMPLES,
        {"out": "Run directory to write.", "resume": RESUME},
        (),
    ),
    "estimate": (ESTIMATE_EXAMPLES, {"json": "File for the result."}, ()),
    "search": (
        SEARCH_EXAMPLES,
        {"out": "Folder of the search.", "json": "File for the result."},
        (
            *("valid_every", "checkpoint_every", "patience", "target", "minutes"),
            *("tensorboard", "max_bad_steps", "pooled"),
        ),
    ),
}


NOT_MEANT = {"help", "print_shtab"}
"""Options that no wrong word is likely to stand for."""
NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a word",
    "dict": "options by name, each as {}.NAME",
    "list": "values in brackets",
    "tuple": "values in brackets",
}
"""The value that an option takes, in words, by the name of its type."""


class Parser(ArgumentParser):
    """A parser whose options may have hyphens, and whose errors name the nearest option."""

    aliases: ClassVar[dict[str, str]] = {"--encoder": "--encoder.name"}

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(
            prog=prog, description=description, exit_on_error=False, allow_abbrev=False
        )

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """The help: examples first, with options written as users type them."""
        examples, self.description = self.description, None
        text = f"{examples}\n{super().format_help(formatter)}"
        self.description = examples
        return re.sub(r"--[a-z][\w.]*", lambda option: option[0].replace("_", "-"), text)

    def read(self, argv: Sequence[str]) -> Namespace:
        """The parsed options.

        Raises:
            UserError: An option is unknown, missing, or has a value of another type.
        """
        try:
            return self.parse_args(self._known(argv))
        except ArgumentError as error:
            raise self._explained(str(error)) from error

    def _known(self, argv: Sequence[str]) -> list[str]:
        """The words as the parser knows them; `--json` alone is `--json=true`."""
        words = [_underscored(word, self.aliases) for word in self.with_config(argv)]
        switches = {
            option
            for action in self._actions
            if getattr(action, "_typehint", None) is bool
            for option in action.option_strings
        }
        return [
            f"{word}=true" if word in switches and after not in ("true", "false") else word
            for word, after in zip_longest(words, words[1:])
        ]

    def given(self, argv: Sequence[str]) -> set[str]:
        """Dotted names of the options on the command line and in the YAML file that it names."""
        words = [_underscored(word, self.aliases) for word in argv if word.startswith("--")]
        names = {word[2:].partition("=")[0] for word in words} - {"config"}
        config = value_of(argv, "--config")
        content = self.checked(config, read_yaml(self.prog, config)) if config else {}
        return names | flat(content).keys()

    def without_effect(self, argv: Sequence[str], idle: Collection[str], beside: str) -> None:
        """Refuses options that are given and do nothing beside others.

        Args:
            argv: The words on the command line.
            idle: Names of options without effect; of a group, the name before the point.
            beside: What they have no effect with, in words.

        Raises:
            UserError: One of them is given.
        """
        names = sorted(n for n in self.given(argv) if n in idle or n.split(".")[0] in idle)
        if names:
            raise UserError(
                f"{self.prog}: some options have no effect {beside}; received "
                f"{', '.join(hyphened(f'--{name}') for name in names)}; leave them out."
            )

    def with_config(self, argv: Sequence[str]) -> list[str]:
        """The words, with the content of the file of `--config` in the place of its name."""
        words = list(argv)
        for i, word in enumerate(words):
            option, equals, file = word.partition("=")
            if option == "--config":
                place = i if equals else i + 1
                if place >= len(words):
                    break
                file = file if equals else words[place]
                content = json.dumps(self.checked(file, read_yaml(self.prog, file)), default=str)
                words[place] = f"--config={content}" if equals else content
        return words

    def checked(self, file: str, options: Any) -> JSON:
        """The options of a YAML file, with the names that the parser has for them.

        Raises:
            UserError: They are not by name, or one is unknown; the nearest is named.
        """
        if not isinstance(options, dict):
            raise UserError(
                f"{self.prog} --config {file}: expected options by name; received {options!r:.60}; "
                "see the files in recipes/."
            )
        shaped = {}
        for key, value in options.items():
            name = str(key).replace("-", "_")
            kind = self.aliases.get(f"--{name}") == f"--{name}.name"
            shaped[name] = {"name": value} if kind and not isinstance(value, dict) else value
        known = {o[2:] for action in self._actions for o in action.option_strings if o[:2] == "--"}
        known |= {action.dest for action in self._actions}
        for name in nested_names(shaped, known):
            if name not in known:
                raise unknown_option(f"{self.prog} --config {file}", name, known)
        return shaped

    def _explained(self, message: str) -> UserError:
        """The parser's error, in the words of this package."""
        unknown = re.search(r"[Uu]nrecognized arguments: --([\w.]+)", message)
        if unknown is None:
            unknown = re.search(r"Option '([\w.]+)' is not accepted", message)
        if unknown is None:
            return UserError(f"{self.prog}: {_said(message)}; see {self.prog} --help.")
        options = {o[2:] for each in self._actions for o in each.option_strings if o[:2] == "--"}
        return unknown_option(self.prog, unknown[1], options - NOT_MEANT)


def _said(message: str) -> str:
    """An error of the parser about missing options or a value, with options as users type them."""
    text = " ".join(message.split())
    if missing := re.search(r"arguments are required: ([\w., ]+)", text):
        options = (hyphened(f"--{name}") for name in missing[1].split(", "))
        return f"needs {', '.join(options)}; received none; give it"
    one = re.search(r"argument (--[\w.]+): expected one argument", text)
    if one:
        return f"{hyphened(one[1])} needs a value; received none; give it"
    wrong = re.search(r'key "([\w.]+)": (.*)', text)
    value = wrong and re.search(r"(?:Given|Got) value: (.*)", wrong[2])
    if not wrong or not value:
        return text
    option = hyphened(f"--{wrong[1]}")
    literals = re.findall(r"'([^']*)'", "".join(re.findall(r"Literal\[[^]]*\]", wrong[2])))
    if literals:
        choices = ", ".join(dict.fromkeys(literals))
        return f"{option} must be one of {choices}; received {value[1]}; choose one"
    types = re.findall(r"Expected a <class '(\w+)'>", wrong[2])
    nouns = [NOUNS[name].format(option) for name in dict.fromkeys(types) if name in NOUNS]
    if not nouns:
        return text
    return f"{option} must be {' or '.join(nouns)}; received {value[1]}; change it"


class TrainParser(Parser):
    """A parser that reads `--learner X` as `--learner.name X`, and so for tasks and net."""

    aliases: ClassVar[dict[str, str]] = {
        "--data_dir": "--tasks.data_dir",
        "--encoder": "--tasks.encoder",
        "--encoder.backend": "--tasks.backend",
        **{f"--{kind}": f"--{kind}.name" for kind in ("learner", "tasks", "net")},
    }


def train_parser(argv: Sequence[str], command: str = "train") -> TrainParser:
    """The options of training, with those of the learner, network and tasks that `argv` names.

    Args:
        argv: The words on the command line.
        command: The command they are for.
    """
    names = _chosen(argv)
    examples, files, decided = COMMAND[command]
    parser = TrainParser(prog=f"quickstudy {command}", description=examples)
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    for name, text in files.items():
        parser.add_argument(f"--{name}", type=Path | None, default=None, help=text)
    for entry in signatures(**names):
        if isinstance(entry, Option):
            parser.add_argument(
                f"--{entry.name}", type=entry.type, default=entry.default, help=entry.help
            )
        else:
            _add(parser, entry, {*entry.skip, *(decided if entry.builder is Training else ())})
    return parser


def _add(parser: Parser, signature: Signature, skip: set[str | int]) -> None:
    """Adds the options of a signature."""
    builder, prefix = signature.builder, signature.prefix
    if isinstance(builder, type):
        parser.add_class_arguments(builder, prefix or None, skip=skip)
    else:
        parser.add_function_arguments(builder, prefix or None, skip=skip)
    parser.set_defaults({f"{prefix}.{name}": None for name in signature.left_out})
    start = f"{prefix}." if prefix else ""
    parser.set_defaults({f"{start}{k}": v for k, v in signature.others.items() if k not in skip})


def _chosen(argv: Sequence[str]) -> dict[str, Any]:
    """The names of learner, tasks and net on the command line or in its YAML file."""
    names: dict[str, Any] = dict.fromkeys(DEFAULTS)
    config = value_of(argv, "--config")
    if config is not None:
        options = read_yaml("train", config)
        specs = options if isinstance(options, dict) else {}
        for kind in names:
            spec = specs.get(kind)
            name = spec.get("name") if isinstance(spec, dict) else spec
            names[kind] = None if name is None else str(name)
    for kind in names:
        names[kind] = value_of(argv, f"--{kind}") or value_of(argv, f"--{kind}.name") or names[kind]
    return names_of(names)


def read_yaml(command: str, config: str) -> Any:
    """The content of the file of `--config`.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        return yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"{command} --config {config}: expected a YAML file of options; received none that can "
            f"be read ({error}); check its path and content."
        ) from error


def nested_names(options: JSON, known: Collection[str], prefix: str = "") -> Iterator[str]:
    """Dotted names of nested options, as deep as the known ones go."""
    for key, value in options.items():
        name = f"{prefix}{str(key).replace('-', '_')}"
        if isinstance(value, dict) and any(each.startswith(f"{name}.") for each in known):
            yield from nested_names(value, known, f"{name}.")
        else:
            yield name


def value_of(argv: Sequence[str], option: str) -> str | None:
    """The value of an option before the options are known; the last one counts."""
    value = None
    for i, word in enumerate(argv):
        if word == option and i + 1 < len(argv):
            value = argv[i + 1]
        elif word.startswith(f"{option}="):
            value = word.split("=", 1)[1]
    return value


def _underscored(word: str, aliases: dict[str, str]) -> str:
    """`--n-way=5` as the parser knows it, `--n_way=5`; `--learner X` may be `--learner.name X`."""
    if not word.startswith("--"):
        return word
    option, equals, value = word.partition("=")
    option = "--" + option[2:].replace("-", "_")
    return aliases.get(option, option) + equals + value
