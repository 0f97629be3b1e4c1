"""`quickstudy predict`: answers queries with an adapted model."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from quickstudy.cli.candidates import print_candidates
from quickstudy.cli.console import one_line, print_json, status
from quickstudy.cli.forecasts import COVERAGE, forecast_files
from quickstudy.cli.recommend import recommend
from quickstudy.encoders import Text
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs import Encoded, Items, Molecules
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.histories import AS_TRAINED, Table
from quickstudy.inputs.labels import label_to_json
from quickstudy.inputs.molecule_files import Molecule
from quickstudy.inputs.numerals import looks_like_number
from quickstudy.inputs.parallel import read_each
from quickstudy.inputs.texts import texts_in
from quickstudy.inputs.windows import Windows
from quickstudy.models.intervals import gives_intervals
from quickstudy.models.model import Model
from quickstudy.models.saved import load, load_task
from quickstudy.tasks.contents import told_apart


def predict(
    task: Path,
    inputs: list[str],
    table: Table,
    min_confidence: float = 0.0,
    max_novelty: float | None = None,
    json: bool = False,
    text: str | None = None,
    skip_bad: bool = False,
    coverage: float = COVERAGE,
    pictures: Path | None = None,
    target: str | None = None,
    missing: str | None = None,
    top: int | None = None,
    ask: int | None = None,
    csv: bool = False,
    least: int = 0,
) -> int:
    """Say what new pictures, rows or texts are, what follows a series, or rank items or molecules.

    Args:
        task: File that `quickstudy adapt` wrote; of a model of items also its run directory, for a
            user who rated nothing yet.
        inputs: Pictures, folders of pictures or patterns such as "photos/*.jpg"; one CSV file;
            texts, in words or in files; files of series; items, by id, title or in files; or
            molecules, as SMILES or in files. Of ratings the whole catalogue is ranked where there
            are none.
        table: How files of series are laid out.
        min_confidence: Probability below which the answer is "not sure", null in JSON.
        max_novelty: Novelty above which the answer is "none of these", null in JSON; 1 is the
            threshold that meta-training chose.
        json: Whether to print JSON, with the probability of every class.
        text: A text, where it could be taken for the name of a file.
        skip_bad: Whether pictures and molecules that cannot be read are named and left out, rather
            than refused.
        coverage: Part of the values that the interval of a value, forecast or rating is to hold.
        pictures: Folder for the picture of each forecast, or of the ranked molecules, as SVG and
            JSON.
        target: Name of the series to forecast; all of the files where omitted.
        missing: Words of a file of series that say that a value is missing, parted by commas.
        top: Length of a ranked list of items or molecules; all in JSON and CSV where omitted.
        ask: Print so many items that the user should be asked to rate, instead.
        csv: Whether to print items or molecules as a CSV table.
        least: How many people must have rated an item of a ranked list.
    """
    if task.is_dir():
        model = load(task)
        if not isinstance(model.preprocess, Items):
            raise UserError(
                f"predict: needs a file that quickstudy adapt wrote; received the run {task}; "
                f"adapt it first: quickstudy adapt {task} --support ... --out mine.task."
            )
        return recommend(model, inputs, coverage, json, csv, top, ask, least)
    adapted = load_task(task)
    kind = adapted.model.preprocess
    if isinstance(kind, Windows) and inputs and text is None and not skip_bad:
        paths, reading = files_of(inputs), Reading.of(missing)
        return forecast_files(
            adapted, kind, paths, coverage, json, pictures, target, reading, table
        )
    if table != AS_TRAINED or target is not None or missing is not None:
        raise only_series("predict", f"a model of {kind.modality}", "target, missing, ")
    if isinstance(kind, Items) and text is None and pictures is None and not skip_bad:
        return recommend(adapted, inputs, coverage, json, csv, top, ask, least)
    if isinstance(kind, Molecules) and text is None and ask is None and not least:
        if min_confidence or max_novelty is not None or coverage != COVERAGE:
            raise UserError(
                "predict: molecules are ranked by their probability; received --min-confidence, "
                "--max-novelty or --coverage; leave them out."
            )
        with status("predicting: "):
            encoded, _ = readable(adapted.model, queries(adapted.model, inputs), skip_bad)
        return print_candidates(adapted, encoded, json, csv, top, pictures)
    if top is not None or ask is not None or csv or least:
        raise UserError(
            "predict: --top, --least, --ask and --csv are for items of a catalogue; received a "
            f"model of {kind.modality}; leave them out."
        )
    sure = gives_intervals(adapted.model)
    if pictures is not None or (coverage != COVERAGE and not sure):
        raise UserError(
            "predict: --pictures is for forecasts, and --coverage for values with an interval; "
            f"received a model of {kind.modality}; leave them out, or see quickstudy explain "
            "--pictures."
        )
    X = queries(adapted.model, inputs, text)
    with status("predicting: "):
        encoded, places = readable(adapted.model, X, skip_bad)
        answers = adapted.predict(encoded, min_confidence, max_novelty).tolist()
        known = adapted.knows_novelty
        novelties = adapted.novelty(encoded).tolist() if known else [None] * len(places)
    names = [input_names(inputs, X)[place] for place in places]
    if adapted.classes_ is None:
        rows: list[JSON] = [
            {"input": name, "prediction": value} for name, value in zip(names, answers, strict=True)
        ]
        if sure:
            ends = (end.tolist() for end in adapted.interval(encoded, coverage))
            for row, low, high in zip(rows, *ends, strict=True):
                row |= {"low": low, "high": high}
    else:
        rows = [
            {
                "input": name,
                "prediction": label,
                "probability": float(p.max()),
                "novelty": novelty,
                "probabilities": {
                    c: float(v) for c, v in zip(told_apart(adapted.classes), p, strict=True)
                },
            }
            for name, label, p, novelty in zip(
                names, answers, adapted.predict_proba(encoded), novelties, strict=True
            )
        ]
    if json:
        classifies = adapted.classes_ is not None
        as_json = label_to_json if classifies else (lambda value: value)
        print_json([row | {"prediction": as_json(row["prediction"])} for row in rows])
        return 0
    names_of = dict(zip(adapted.classes, told_apart(adapted.classes), strict=True))
    for row in rows:
        beside = f"\t{row['probability']:.3f}" if "probability" in row else ""
        if "low" in row:
            beside = f"\t{_read_off(row['low'])} to {_read_off(row['high'])}"
        is_novel = (row.get("novelty") or 0) > (1 if max_novelty is None else max_novelty)
        answer = row["prediction"]
        answer = names_of.get(answer, answer) if names_of else _read_off(answer)
        if row["prediction"] is None:
            answer = "none of these" if max_novelty is not None and is_novel else "not sure"
        doubt = "\tunlike all that was taught" if is_novel and max_novelty is None else ""
        # Of a file the whole name, for whoever reads on; a text may be a page.
        is_text = adapted.model.preprocess.modality == "texts"
        name = one_line(row["input"]) if is_text else row["input"]
        print(f"{name}\t{answer}{beside}{doubt}")
    return 0


def _read_off(value: Any) -> Any:
    """A value, or a list of them, with the seven digits of single precision; JSON has all."""
    if isinstance(value, list):
        return [_read_off(each) for each in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def only_series(command: str, received: str, more: str = "") -> UserError:
    """The error for options of files of series without a model that takes them."""
    return UserError(
        f"{command}: {more}gaps, layout, id and time are for series, by a model of series; "
        f"received {received}; leave them out, or name a run that was trained on windows."
    )


def files_of(inputs: Sequence[str]) -> list[Path]:
    """The files of series that the words of a command line name.

    Raises:
        UserError: They are numbers.
    """
    numbers = [word for word in inputs if looks_like_number(word) and not Path(word).exists()]
    if numbers:
        raise UserError(
            f"predict: a series must be in a file; received the number {numbers[0]}; write the "
            "values into a file, one a line, and name it."
        )
    return [Path(word) for word in inputs]


def queries(model: Model, inputs: Sequence[str], text: str | None = None) -> Sequence[Any]:
    """The inputs in the named files, and texts that are given in words."""
    if text is not None and model.preprocess.modality != "texts":
        raise UserError(
            f"--text: is for a model of texts; received one of {model.preprocess.modality}; name "
            "files instead."
        )
    if not inputs and text is None:
        raise UserError("predict: needs something to predict; received no input; name some files.")
    if text is None:
        return model.preprocess.read_words(inputs)
    if inputs:
        raise UserError(
            f"--text: stands in place of files and words; received {inputs[0]!r} too; leave one of "
            "them out."
        )
    return texts_in([text])[0]


def readable(model: Model, X: Sequence[Any], skip_bad: bool) -> tuple[Encoded, list[int]]:
    """The inputs as the network takes them, and the places of those that can be read.

    Args:
        model: The model.
        X: The inputs.
        skip_bad: Whether inputs that cannot be read are named in the terminal and left out.
    """
    if not skip_bad:
        return model.inputs(X), list(range(len(X)))
    what = model.preprocess.modality
    if what not in ("pictures", "molecules"):
        raise UserError(
            "--skip-bad: is for pictures and molecules; received a model that takes "
            f"{model.preprocess.modality}; leave it out."
        )
    encoded: dict[int, Encoded] = {}
    bad: list[str] = []
    each: Encoded | Exception
    for place, each in enumerate(read_each(lambda x: model.inputs([x]), X, f"{what} read")):
        if isinstance(each, UserError):
            bad.append(str(each))
        elif isinstance(each, Exception):
            raise each
        else:
            encoded[place] = each
    if not encoded:
        raise UserError(
            f"--skip-bad: some {what} must be readable; received {len(bad)} that are not, the "
            f"first: {bad[0]}"
        )
    for message in bad:
        print(f"skipped: {message}", file=sys.stderr)
    if bad:
        print(f"skipped {len(bad)} of {len(X)} {what}", file=sys.stderr)
    parts = list(encoded.values())
    raw = [value for part in parts for value in part.raw or ()]
    x = torch.cat([part.x for part in parts])
    return Encoded(x, raw=raw if len(raw) == len(x) else None), list(encoded)


def input_names(files: Sequence[str], X: Sequence[Any]) -> list[str]:
    """The names of inputs: texts, those of their files, or numbers of rows of one file."""
    if all(isinstance(x, Text) for x in X):
        return [x.text for x in X]
    if all(isinstance(x, Molecule) for x in X):
        return [x.smiles for x in X]
    if all(isinstance(x, Path) for x in X):
        return [str(x) for x in X]
    if len(files) == len(X):
        return list(files)
    return [f"row {i + 1}" for i in range(len(X))]
