"""Adapted models as files that run without quickstudy: ONNX, and programs of torch.export."""

from __future__ import annotations

import copy
import io
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._export.verifier import SpecViolationError
from torch.utils import _pytree as pytree

from quickstudy.errors import QuickstudyError, UserError
from quickstudy.files.records import JSON
from quickstudy.inputs import InputKind
from quickstudy.inputs.labels import label_to_json
from quickstudy.learner import AnyLearner
from quickstudy.models.no_queries import ask_one_instead, write_out_sizes
from quickstudy.targets import IDENTITY, FrameScale, Scale, TargetScale
from quickstudy.version import __version__

FORMATS = (".onnx", ".pt2")
BATCHES = (0, 1, 2, 7)
"""Numbers of queries that every exported model is asked at once, to compare it with PyTorch."""
TOLERANCE = 1e-4
"""Largest difference allowed, relative to the largest number of an output where that is above 1."""
NOT_EXPORTED = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError),
    *(ValueError, SpecViolationError),
)
"""Errors of exporters for a learner that is not tensor operations alone."""
N_QUERIES = "n_queries"
METADATA = "quickstudy.json"
"""Name of the metadata in a `.pt2` file."""
LISTED = "places of items in the list preprocessing.ids, counted from 0, as int64"
"""The queries of a model of items, in words."""
ALTERNATIVE = "use the saved task (Adapted.save), which loads wherever quickstudy is installed"

Run = Callable[[Tensor], Sequence[Tensor]]


class Predictor(nn.Module):
    """An adapted learner as a function of the queries alone, in float32 on the CPU.

    Windows of a series are put into their frames here: they come in the user's units, and so does
    what follows them. Items of a catalogue come as their places in it, whole numbers.

    Shapes:
        queries (queries, *x), of items (queries,) -> logits and probabilities (queries, way), or
        values (queries, outputs) alone; of windows (queries, lags) -> (queries, horizon), and of
        several channels (queries, lags, C) -> (queries, horizon, C).
    """

    def __init__(
        self,
        learner: AnyLearner,
        state: Any,
        temperature: float,
        targets: Scale = IDENTITY,
        listed: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.targets = targets
        self.register_buffer("listed", listed)
        self.learner = copy.deepcopy(learner).eval().requires_grad_(False)
        self.temperature = temperature
        parts, self.structure = pytree.tree_flatten(state)
        self.names = [f"state{i}" for i in range(len(parts))]
        for name, part in zip(self.names, parts, strict=True):
            self.register_buffer(name, part.detach().clone())
        self.to("cpu", torch.float32)

    def forward(self, queries: Tensor) -> tuple[Tensor, ...]:
        parts = [self.get_buffer(name) for name in self.names]
        state = pytree.tree_unflatten(parts, self.structure)
        scale, x = self.targets, queries
        if self.listed is not None:
            x = self.get_buffer("listed")[queries]
        if isinstance(scale, FrameScale):
            x = in_frames(scale, queries).to(queries)
        outputs = answers(self.learner, state, x, self.temperature)
        if scale.is_identity:
            return outputs
        values = scale.answers(outputs[0], x)
        if isinstance(scale, FrameScale):
            values = as_people_read(scale, values).to(queries)
        return (values if self.listed is None else values.float(),)

    @property
    def outputs(self) -> list[str]:
        """Names of what it gives."""
        regression = self.learner.kind == "regression"
        return ["values"] if regression else ["logits", "probabilities"]


def in_frames(scale: FrameScale, windows: Tensor) -> Tensor:
    """Encoded inputs of windows `(n, lags)`, or `(n, lags, C)` of several channels."""
    return scale.encoded(windows.reshape(-1, scale.lags, scale.channels))


def as_people_read(scale: FrameScale, numbers: Tensor) -> Tensor:
    """Numbers of a time after those of the time before, with an axis for several channels."""
    n, several = numbers.shape[1] // scale.channels, scale.channels > 1
    return numbers.reshape(-1, n, scale.channels) if several else numbers


def answers(
    learner: AnyLearner, state: Any, queries: Tensor, temperature: float
) -> tuple[Tensor, ...]:
    """The predictions of an adapted learner: logits and probabilities, or values."""
    outputs = learner.predict(state, queries)
    if learner.kind == "regression":
        return (outputs,)
    return outputs, torch.softmax(outputs / temperature, dim=1)


def describe(
    learner: AnyLearner,
    classes: Sequence[Any] = (),
    temperature: float = 1.0,
    preprocess: InputKind | None = None,
    fingerprint: str = "",
    targets: Scale = IDENTITY,
) -> JSON:
    """How to use an exported model, as JSON that every reader takes.

    Args:
        learner: What was exported.
        classes: Labels, in the order of the columns.
        temperature: What the logits were divided by; in regression that of `Model`, which values
            do not need.
        preprocess: The kind of its inputs.
        fingerprint: That of the meta-trained model.
        targets: The scale of the targets of a regression.

    Raises:
        UserError: A label cannot be written.
    """
    kind = preprocess.to_json() if preprocess else None
    columns = (kind or {}).get("columns")
    return {
        "quickstudy": __version__,
        "learner": type(learner).__name__,
        "fingerprint": fingerprint,
        "classes": [label_to_json(label) for label in classes],
        "temperature": temperature,
        "preprocessing": kind,
        # Their order: JavaScript puts names that are numbers first.
        **({"columns": [*columns]} if isinstance(columns, dict) else {}),
        **({} if targets.is_identity else {"targets": targets.to_json()}),
        **({"queries": _in_words(targets)} if isinstance(targets, FrameScale) else {}),
        **({"queries": LISTED} if preprocess and preprocess.listed is not None else {}),
    }


def _in_words(scale: FrameScale) -> str:
    """The inputs and the answers of an exported forecaster, in words."""
    each = f" of {scale.channels} channels" if scale.channels > 1 else ""
    return (
        f"the last {scale.lags} steps{each} of a series, in its units and the order of time; "
        f"answered by the {scale.horizon} that follow"
    )


def exported(
    suffix: str,
    learner: AnyLearner,
    state: Any,
    support_x: Tensor,
    description: JSON | None = None,
    temperature: float = 1.0,
    targets: Scale = IDENTITY,
    listed: Tensor | None = None,
) -> bytes:
    """An adapted model as the content of a file that runs without quickstudy.

    Its input is `queries`, float32, and their number may differ from call to call; of inputs from a
    list their places in it, int64. Its outputs are
    `logits` and `probabilities`, or `values` in regression. What it says is compared with what the
    learner says here, for 0, 1, 2 and 7 queries, before the content is given out.

    Args:
        suffix: `".onnx"`, or `".pt2"` for torch.export.
        learner: In eval mode; it is left as it is.
        state: What it adapted to.
        support_x: Inputs `(examples, *x)` of the kind that it will be asked about.
        description: How to use it, see `describe`; written as metadata.
        temperature: Divides the logits before they become probabilities.
        targets: The scale of the targets of a regression: the file answers in the user's units.
        listed: All inputs there are, encoded, of a kind that has a list of them.

    Raises:
        UserError: Another suffix, a package is missing, a label cannot be written, the learner
            cannot answer one query alone, or the exporter cannot follow the network.
        QuickstudyError: The file does not say what the learner says.
    """
    if suffix not in FORMATS:
        raise UserError(
            f"export: the suffix says the format and must be {' or '.join(FORMATS)}; received "
            f"{suffix!r}; choose one of these."
        )
    name = type(learner).__name__
    metadata = {
        key: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        for key, value in (description or {}).items()
    }
    _check_resolution(targets, support_x)
    asked = support_x
    if isinstance(targets, FrameScale):
        asked = as_people_read(targets, targets.values(support_x).flatten(1)).to(support_x)
    queries = [_mixtures(asked, n) for n in BATCHES]
    inputs = queries
    if listed is not None:
        asked = torch.zeros(1, dtype=torch.int64)
        queries = [torch.linspace(0, len(listed) - 1, n).long() for n in BATCHES]
        inputs = [listed.to(support_x)[places] for places in queries]
    if isinstance(targets, FrameScale):
        inputs = [in_frames(targets, windows).to(support_x) for windows in queries]
    try:
        with torch.no_grad():
            # None has the answers of one, without its row: a network need not answer none here.
            answered = [
                answers(learner, state, x if len(x) else support_x[:1], temperature) for x in inputs
            ]
            expected = [
                tuple(t[: len(x)] for t in ts) for x, ts in zip(inputs, answered, strict=True)
            ]
    except UserError as error:
        raise UserError(
            f"export: a file must answer any number of queries, one too; received a {name} that "
            f"does not ({error}); meta-train it with another norm, or {ALTERNATIVE}."
        ) from error
    if not targets.is_identity:
        expected = [
            (targets.answers(values, x),) for x, (values,) in zip(inputs, expected, strict=True)
        ]
    if isinstance(targets, FrameScale):
        expected = [(as_people_read(targets, values),) for (values,) in expected]
    predictor = Predictor(learner, state, temperature, targets, listed)
    write = _as_onnx if suffix == ".onnx" else _as_pt2
    one = asked[:1].cpu() if listed is not None else asked[:1].cpu().float()
    content, run = write(predictor, torch.zeros_like(one), metadata)
    for x, outputs in zip(queries, expected, strict=True):
        results = _asked(run, x.to(one), name, suffix)
        for output, actual, reference in zip(predictor.outputs, results, outputs, strict=True):
            difference = _difference(actual, reference.cpu().float())
            if not difference <= TOLERANCE:
                raise QuickstudyError(
                    f"export: the {suffix} file of a {name} must say what PyTorch says, within "
                    f"{TOLERANCE:g}; received {output} that are {difference:.1e} apart for "
                    f"{len(x)} queries; do not use it, and {ALTERNATIVE}."
                )
    return content


def _asked(run: Run, x: Tensor, name: str, suffix: str) -> Sequence[Tensor]:
    """Asks a file; a program of PyTorch may find here that there must be a query."""
    try:
        return run(x)
    except NOT_EXPORTED as error:
        if len(x):
            raise
        raise UserError(
            f"export: a {suffix} file must answer any number of queries, none too; received a "
            f"{name} whose network needs one ({str(error).strip().splitlines()[0]:.200}); write "
            "its forward for x.shape[0] of 0 too, or export to .onnx."
        ) from error


def _check_resolution(targets: Scale, support_x: Tensor) -> None:
    """Raises where single precision cannot tell the values of a regression apart."""
    pairs: list[tuple[float, float]] = []
    if isinstance(targets, TargetScale):
        pairs = [*zip(targets.mean, targets.std, strict=True)]
    elif isinstance(targets, FrameScale):
        frame = targets.frame(support_x)
        pairs = [*zip(frame.level.flatten().tolist(), frame.spread.flatten().tolist(), strict=True)]
    for mean, std in pairs:
        if abs(mean) * torch.finfo(torch.float32).eps > std / 1000:
            raise UserError(
                "export: a file answers in single precision, in the units of the targets; received "
                f"targets that vary by {std:g} around {mean:g}, which it cannot tell apart; "
                f"subtract a constant from them and adapt again, or {ALTERNATIVE}."
            )


def _mixtures(x: Tensor, n: int) -> Tensor:
    """The first of the examples, and then ever more of it replaced by the others."""
    rows = torch.arange(n) % len(x)
    share = torch.linspace(0, 1, n).view(-1, *[1] * (x.ndim - 1)).to(x)
    return torch.lerp(x[rows], x[rows.flip(0)], share)


def _difference(actual: Tensor, reference: Tensor) -> float:
    """Largest difference, relative to the largest number that is known where that is above 1."""
    if actual.shape != reference.shape:
        return math.inf
    if not len(reference):
        return 0.0
    return float((actual - reference).abs().max() / reference.abs().max().clamp(min=1))


def _as_onnx(predictor: Predictor, one: Tensor, metadata: dict[str, str]) -> tuple[bytes, Run]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise UserError(
            "export: ONNX needs the packages onnx, onnxscript and onnxruntime; received an "
            f"environment without {error.name}; run pip install 'quickstudy[onnx]', or export to "
            ".pt2."
        ) from error
    with _exporting(predictor, "ONNX"):
        program = torch.onnx.export(
            _program(predictor, one),
            input_names=["queries"],
            output_names=predictor.outputs,
            dynamo=True,
            verbose=False,
        )
        assert program is not None
        model = program.model_proto
        model.graph.ClearField("value_info")  # runtimes find out the shapes in between
        for part in (*model.graph.input, *model.graph.output):
            part.type.tensor_type.shape.dim[0].dim_param = N_QUERIES
        ask_one_instead(model, one.numpy())
        onnx.helper.set_model_props(model, metadata)
        content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(queries: Tensor) -> list[Tensor]:
        results = session.run(None, {"queries": queries.numpy()})
        return [torch.from_numpy(result) for result in results]

    return content, run


def _as_pt2(predictor: Predictor, one: Tensor, metadata: dict[str, str]) -> tuple[bytes, Run]:
    file = io.BytesIO()
    with _exporting(predictor, "a torch.export program"):
        program = _program(predictor, one)
        torch.export.save(program, file, extra_files={METADATA: json.dumps(metadata)})
    return file.getvalue(), program.module()


def _program(predictor: Predictor, one: Tensor) -> torch.export.ExportedProgram:
    """The operations that predict for any number of queries."""
    program = torch.export.export(
        predictor,
        (one.expand(3, *one.shape[1:]).clone(),),
        dynamic_shapes=({0: torch.export.Dim(N_QUERIES)},),
        strict=False,
    )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    write_out_sizes(program.graph.nodes)
    program.graph_module.recompile()
    return program


@contextmanager
def _exporting(predictor: Predictor, name: str) -> Iterator[None]:
    """Silences an exporter, and turns what it cannot do into a UserError."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except NOT_EXPORTED as error:
        reason, *_ = [*str(error).strip().splitlines(), type(error).__name__]
        raise UserError(
            f"export: a {type(predictor.learner).__name__} must be tensor operations alone to be "
            f"written as {name}; received one that is not ({reason}); write the network's forward "
            f"without branches on values and with x.shape[0] for len(x), or {ALTERNATIVE}."
        ) from error
    finally:
        log.setLevel(level)
