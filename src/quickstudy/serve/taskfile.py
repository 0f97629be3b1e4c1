"""Tasks as files."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from quickstudy.errors import QuickstudyError, UserError
from quickstudy.files.rundir import tensor_seal, tensors_from_bytes
from quickstudy.inputs import stored
from quickstudy.inputs.labels import label_from_json
from quickstudy.models.adapted import Adapted
from quickstudy.models.task_files import TASK_FORMAT, features_of, parts_of
from quickstudy.serve.change import Taken
from quickstudy.serve.content import Content
from quickstudy.serve.gate import Gate
from quickstudy.serve.limits import MAX_EXAMPLES
from quickstudy.serve.problems import Problem, invalid
from quickstudy.serve.schema.requests import Input, Label, Wanted
from quickstudy.serve.served import Served
from quickstudy.serve.tasks import Tasks
from quickstudy.tasks.contents import told_apart

_exporting: Final = threading.Lock()
"""One thread at a time may use the exporter of torch."""


def task_file(gate: Gate, adapted: Adapted, format: str, contents: Sequence[Content]) -> bytes:
    """An adapted model as the content of a file.

    Args:
        gate: Lock of the processor.
        adapted: The adapted model.
        format: The suffix of the file.
        contents: Its examples as they are stored; texts are written into a `.task`.

    Raises:
        Problem: It cannot be written in this format.
    """
    if format == "task":
        kind = adapted.model.preprocess
        if kind.writes_raw and (kind.has_network or kind.form == "smiles"):
            plain = [stored.from_bytes(content.data) for content in contents]
            if not any(isinstance(x, list) for x in plain):  # features, of which there is no text
                adapted = adapted.with_raw(kind.raw(plain, False))
        with gate():
            return adapted.to_bytes()
    if format == "json":
        return json.dumps(adapted.metadata(), indent=2, allow_nan=False).encode()
    with _exporting, gate():
        try:
            return adapted.exported(f".{format}")
        except QuickstudyError as error:
            raise Problem("NOT_EXPORTABLE", str(error)) from error


def read_task(tasks: Tasks, served: Served, content: bytes) -> tuple[list[Any], Taken]:
    """Labels and examples of a task's file; examples are encoded anew where they are in it.

    No model is built from the file, as clients are not trusted: the file must be of the served one.

    Raises:
        Problem: It is no such file, or of another model.
    """
    if served.reads_columns:
        raise invalid(
            "file: the examples in it must be what this model takes, rows; received a task, which "
            "holds what its columns made of them; send the rows themselves."
        )
    try:
        tensors, header = tensors_from_bytes(content, "file")
        seal = header.pop("sha256", None)
        if header.get("format") != TASK_FORMAT or seal != tensor_seal(header, tensors):
            raise UserError(
                f"file: must be a task of format {TASK_FORMAT} as it was written; received "
                f"format {header.get('format')!r}, or an altered file; export it again."
            )
        if f"sha256:{header.get('fingerprint')}" != served.version:
            raise UserError(
                f"file: must be of the model that is served, {served.version[:19]}; received one "
                f"of sha256:{str(header.get('fingerprint'))[:12]}; serve that model."
            )
        labels = [label_from_json(label) for label in header["labels"]]
        distinct = list(dict.fromkeys(labels)) if served.classifies else []
        text = dict(zip(distinct, told_apart(distinct), strict=True))
        labels = [_label(text[label] if text else label, served) for label in labels]
        x, parts = features_of(tensors, header), parts_of(tensors, header)
        if x.shape[1:] != served.model.x_shape or not 0 < len(x) == len(labels) <= MAX_EXAMPLES:
            raise UserError(
                f"file: must hold 1 to {MAX_EXAMPLES} examples of shape {served.model.x_shape}; "
                f"received {tuple(x.shape)} and {len(labels)} labels; export it again."
            )
        rows = x.tolist()
        requests = [stored.to_request(part) for part in parts or ()]
        if served.model.preprocess.form == "item":  # which goes by its id
            requests = [served.model.preprocess.to_request(row) for row in rows]
        sent = [Input.model_validate(request) for request in requests]
    except QuickstudyError as error:
        raise invalid(str(error)) from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise invalid(
            "file: must be a task that quickstudy wrote; received one that cannot be read "
            f"({error}); export it again."
        ) from error
    if sent:
        return labels, tasks.take(served, sent, "/support")
    contents = [Content.of(row) for row in rows]
    return labels, Taken(contents, tasks.encoding(served.model, rows, "/support"))


def _label(label: Any, served: Served) -> Any:
    """A label as the server keeps it.

    Raises:
        ValueError: It is too long, or no number in regression.
        Problem: It is not what the model takes.
    """
    if served.classifies:
        return TypeAdapter(Label).validate_python(str(label))
    value = TypeAdapter(Wanted).validate_python(label, strict=True)
    served.check_label(value, "/labels")
    return value
