"""`quickstudy adapt`: learns a task from a folder or a table."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from quickstudy.cli.console import status
from quickstudy.cli.learn_ratings import learn_ratings
from quickstudy.cli.learn_series import learn_series
from quickstudy.cli.learn_unlabelled import learn_unlabelled, say_caution
from quickstudy.cli.predict import only_series, readable
from quickstudy.cli.quality import print_quality
from quickstudy.encoders import Backend
from quickstudy.errors import UserError
from quickstudy.inputs import Items
from quickstudy.inputs.cells import MARKS
from quickstudy.inputs.constancy import Constancy
from quickstudy.inputs.files import sidecars, some
from quickstudy.inputs.frames import AS_KNOWN, Reading, Type
from quickstudy.inputs.histories import AS_TRAINED, Table
from quickstudy.inputs.looks import look
from quickstudy.inputs.molecule_files import MoleculeList
from quickstudy.inputs.task_columns import many_numbers
from quickstudy.inputs.windows import Windows
from quickstudy.models.model import Model
from quickstudy.models.saved import load
from quickstudy.models.saved import model as model_of
from quickstudy.tasks.contents import told_apart

AUTO = "auto"


@dataclass(frozen=True)
class EncoderChoice:
    """The frozen encoder of a model without meta-training.

    Args:
        name: photos, drawings or sentences; tables for rows of numbers and names, tables-linear for
            many of them; or auto, which looks at the support and says what it took. Where neither a
            run nor an encoder is given it is auto.
        backend: What computes its features: torch, or onnx for ONNX Runtime. Where omitted, what a
            run says, or else torch.
        constancy: Colour constancy of pictures: grey-world scales the colours of each so that
            their means are alike.
    """

    name: str | None = None
    backend: Backend | None = None
    constancy: Constancy | None = None


NONE = EncoderChoice()


def adapt(
    support: Path,
    out: Path,
    table: Table,
    run: Path | None = None,
    encoder: EncoderChoice = NONE,
    target: str | None = None,
    columns: dict[str, Type] | None = None,
    missing: str | None = None,
    skip_bad: bool = False,
    no_inputs: bool = False,
    keep_pictures: bool = False,
    user: str | None = None,
    unlabelled: bool = False,
) -> int:
    """Learn a new task from class folders, a table, labelled texts, a series, ratings, molecules.

    Args:
        support: Folder with a folder of pictures for each class; a CSV file; texts as CSV, JSON or
            a folder of .txt files; a file of series; ratings of items, by id or title; or a CSV
            file of molecules, with a column smiles and one of 0 and 1.
        out: File for the adapted model.
        table: How a file of series is laid out.
        run: Run directory of the meta-trained model, or the name of one (`quickstudy models`).
        encoder: The frozen encoder, in place of a run.
        target: Column of the labels, for a CSV file; name of the series, for a file of several.
        columns: What columns of a CSV file hold, where it is to be said: numbers (with a decimal
            point), comma (numbers with a decimal comma) or names; as {"price": "comma"}.
        missing: Words of a CSV file that say that a value is missing, parted by commas.
        skip_bad: Whether pictures and molecules that cannot be read are named and left out, rather
            than refused.
        no_inputs: Whether the texts are kept out of the file, which then holds their features
            alone: answers name examples by their number, and the task cannot move to another
            encoder.
        keep_pictures: Whether the pictures of a frozen encoder are in the file too, as PNG of at
            most 512 pixels a side.
        user: The user whose ratings are learned from, for a file of ratings of several.
        unlabelled: Whether the pictures have no labels: all below the folder are taken, and nothing
            but the statistics of the norms changes.
    """
    if no_inputs and keep_pictures:
        raise UserError(
            "adapt: --no-inputs keeps what was read out of the file, and --keep-pictures in it; "
            "received both; give one of them."
        )
    if table != AS_TRAINED and run is None:
        raise only_series("adapt", "no run")
    model = _model(run, encoder, support)
    if model.kind == "control":
        raise UserError(
            f"adapt: a policy learns from what it plays; received {run}, which is of one; let it "
            f"play: quickstudy practise {run} --out {out}."
        )
    reading = Reading.of(missing, columns)
    kind = model.preprocess
    if reading != AS_KNOWN and not (kind.reads_cells or isinstance(kind, Windows)):
        raise UserError(
            f"adapt: columns and missing are for the cells of a table; received a model of "
            f"{model.preprocess.modality}; leave them out."
        )
    if target is not None and support.is_dir():
        raise UserError(
            f"adapt: target is the column of the labels in a table; received {target!r} and the "
            f"folder {support}, whose class folders are the labels; leave it out."
        )
    if isinstance(kind, Items) and table == AS_TRAINED:
        return learn_ratings(model, kind, support, out, user, target)
    if user is not None:
        raise UserError(
            f"adapt: user is for ratings, by a model of items; received {user!r} and a model of "
            f"{kind.modality}; leave it out."
        )
    if isinstance(kind, Windows):
        return learn_series(model, kind, support, out, target, reading, table)
    if table != AS_TRAINED:
        raise only_series("adapt", f"a model of {kind.modality}")
    if unlabelled:
        return learn_unlabelled(model, support, out)
    notes: tuple[str, ...] = ()
    with_reading = () if reading == AS_KNOWN else (reading,)
    X, y = model.preprocess.read_labelled(support, target, model.kind, *with_reading)
    if model.numbers is not None and many_numbers(y, written=True):
        model = model.numbers()
        X, y = model.preprocess.read_labelled(support, target, model.kind, *with_reading)
        print(f"{target}: {len({*y})} different numbers are predicted as numbers, not as classes")
    if skip_bad:
        notes = X.notes if isinstance(X, MoleculeList) else ()
        with status("learning: "):
            X, places = readable(model, X, skip_bad)
        y = [y[place] for place in places]
    pictures = model.preprocess.modality not in ("texts", "molecules")
    if pictures and support.is_dir() and (beside := sidecars(support)):
        names = some([file.relative_to(support) for file in beside])
        print(f"passed over {len(beside)} file(s) that are no pictures: {names}")
    start = time.perf_counter()
    with status("learning: "):
        adapted = model.adapt(X, y)
    milliseconds = 1000 * (time.perf_counter() - start)
    adapted.save(out, inputs=False if no_inputs else True if keep_pictures else None)
    n = len(adapted.labels)
    print(f"learned from {n} examples in {milliseconds:.0f} ms: {out}")
    if adapted.classes_ is not None:
        print(f"classes: {', '.join(told_apart(adapted.classes))}")
    for label in adapted.classes if model.preprocess.reads_cells and missing is None else ():
        if str(label).lower() in MARKS:
            print(f"note: {label} is taken for a class; --missing {label} says that it is none")
    for note in (*notes, *adapted.model.preprocess.notes):
        print(f"note: {note}")
    print_quality(adapted)
    say_caution(model)
    return 0


def _model(run: Path | None, encoder: EncoderChoice, support: Path) -> Model:
    """The model of a run, or that of an encoder without meta-training."""
    if run is not None:
        if encoder.name is not None or encoder.constancy is not None:
            raise UserError(
                f"adapt: a run decides what encodes its inputs; received the run {run} and an "
                "encoder or a colour constancy; leave one of them out."
            )
        return load(run)
    name = encoder.name or AUTO
    if name == AUTO:
        fits, reason = look(support)
        print(f"encoder: {fits}, as {reason}; --encoder NAME takes another")
        name = fits
    return model_of(name, constancy=encoder.constancy)
