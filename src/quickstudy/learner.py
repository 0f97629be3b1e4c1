"""The contract: what every meta-learner of quickstudy is.

A learner is two pure functions, both written for **one** task:

    adapt(support)    -> state         what is learned from the few examples
    predict(state, x) -> prediction    what is then said about new inputs

Its meta-parameters are the parameters of the module; all that depends on the task is in the state,
and nothing is stored on `self` after `__init__`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from threading import RLock
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, get_args, get_origin
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd as Dropout

from quickstudy.errors import UserError
from quickstudy.nets.norm import NormKind, padding, run
from quickstudy.task import Examples, Kind, Task

State = TypeVar("State")


class Contributions(NamedTuple):
    """What the support examples add to a prediction; over the examples it sums to the prediction.

    Attributes:
        of: What it sums to: each class's `"logit"`; its `"probability"`, of which the logit is the
            logarithm; or the `"value"` of a regression.
        parts: What each example adds `(query, support, way)`, or `(query, support, outputs)`.
    """

    of: Literal["logit", "probability", "value"]
    parts: Tensor


def cross_entropy(logits: Tensor, target: Examples) -> Tensor:
    """Mean over the examples of minus the log-probability of the target class, in nats."""
    check_fits(logits, target)
    per_example = -(target.y * torch.log_softmax(logits, dim=-1)).sum(dim=-1)
    return (per_example * target.weight).sum() / target.weight.sum()


def mean_squared_error(prediction: Tensor, target: Examples) -> Tensor:
    """Mean over examples and outputs of the squared error, in squared units of the target."""
    check_fits(prediction, target)
    per_example = (prediction - target.y).square().mean(dim=-1)
    return (per_example * target.weight).sum() / target.weight.sum()


def check_fits(prediction: Tensor, target: Examples) -> None:
    """Raises UserError where predictions are not shaped as the targets, rather than broadcast."""
    if prediction.shape != target.y.shape:
        raise UserError(
            "prediction: must have the shape of the targets, a row for each query and a column for "
            f"each class or output; received {tuple(prediction.shape)} for "
            f"{tuple(target.y.shape)}; give the network as many outputs as the tasks have."
        )


class Learner(nn.Module, ABC, Generic[State]):
    """A meta-learner for one task.

    The state is a NamedTuple or dict of tensors (no Python numbers), so that it passes through
    `torch.func.vmap` and is saved tensor by tensor.

    Properties a learner declares, which `quickstudy.testing.check_learner` holds it to:
        transductive: a query's prediction depends on the other queries.
        stochastic: `adapt` or the loss draws random numbers.
        order_matters: the order of the support examples changes the state.
        label_equivariant: relabelling the classes relabels the predictions.
        vmappable: `adapt` and `predict` run under `torch.func.vmap`.
        exact_meta_gradient: the gradient of `task_loss` is its derivative, not an estimate of it.

    Where its meta-training, or what it takes, differs:
        episodic: it learns from tasks, rather than from batches of all meta-train classes.
        reads_columns: it takes inputs of any length; the columns of a user's rows are made ready
            for each task alone.

    And what it needs of a network that is made for it:
        needs_head: outputs rather than features.
        default_head: `"shared"` by all classes, or `"per_class"`.
        default_norm: the norm of a network that does not say.
        default_pools: how often a Conv4 that does not say halves a picture.

    What explains its predictions, where it has it:
        embeds: it sees inputs through its module `net` alone, whose statistics its state keeps as
            `statistics`. That gives `features`, and lets inputs be embedded once to adapt often.
        features, contributions, support_attention: see the methods.
    """

    transductive: bool = False
    stochastic: bool = False
    order_matters: bool = False
    label_equivariant: bool = True
    vmappable: ClassVar[bool] = True
    exact_meta_gradient: bool = True
    episodic: ClassVar[bool] = True
    reads_columns: ClassVar[bool] = False
    needs_head: ClassVar[bool] = False
    default_head: ClassVar[str] = "shared"
    default_norm: ClassVar[NormKind] = "population"
    default_pools: ClassVar[int] = 4
    embeds: ClassVar[bool] = False
    kind: Kind = "classification"

    @abstractmethod
    def adapt(self, support: Examples) -> State:
        """What is learned from the support examples."""

    @abstractmethod
    def predict(self, state: State, x: Tensor) -> Tensor:
        """Logits `(query, way)`, or values `(query, outputs)`, for inputs `(query, *x)`."""

    def loss(self, prediction: Tensor, target: Examples) -> Tensor:
        """The loss of a prediction: cross-entropy in classification, else mean squared error."""
        criterion = cross_entropy if self.kind == "classification" else mean_squared_error
        return criterion(prediction, target)

    def respond(self, task: Task) -> Tensor:
        """The prediction for the queries of a task after adapting to its support."""
        state = self.adapt(task.support)
        with padding(task.query.weight):
            prediction = self.predict(state, task.query.x)
        check_fits(prediction, task.query)
        return prediction

    def task_loss(self, task: Task) -> Tensor:
        """What meta-training minimises, for one task: the query loss after adapting."""
        return self.loss(self.respond(task), task.query)

    def forward(self, task: Task) -> Tensor:
        """`task_loss`, so that `torch.func.functional_call` reaches it."""
        return self.task_loss(task)

    def at(self, progress: float) -> None:
        """Told before each outer step how much of meta-training is done, in [0, 1)."""

    def meta_parameters(self) -> dict[str, Tensor]:
        """The parameters that meta-training changes, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def features(self, state: State, x: Tensor) -> Tensor | None:
        """The space `(examples, features)` in which inputs are compared; None for no such space."""
        if not self.embeds:
            return None
        z, _ = run(self.net, None, x, given=state.statistics)  # type: ignore[arg-type, attr-defined]
        return z

    def contributions(self, state: State, support: Examples, x: Tensor) -> Contributions | None:
        """What each support example adds to the predictions; None where no such sum is exact.

        A class that is only padding gets nothing.
        """
        return None

    def support_attention(self, state: State, support: Examples, x: Tensor) -> Tensor | None:
        """How queries attend to the support, `(query, groups, heads, support)`; None if not at all.

        Over the support each row sums to 1. A learner that reads the support for each class apart
        has a group a class; any other has one. Layers count as heads.
        """
        return None

    def state_from(self, tensors: dict[str, Tensor]) -> State:
        """The state whose `flatten_state` gave these tensors."""
        nested: dict[str, Any] = {}
        for path, tensor in sorted(tensors.items()):
            *outer, leaf = path.split("/")
            inside = nested
            for key in outer:
                inside = inside.setdefault(key, {})
            inside[leaf] = tensor
        bases = [b for c in type(self).__mro__ for b in getattr(c, "__orig_bases__", ())]
        kind = next(get_args(b)[0] for b in bases if get_origin(b) is Learner)
        fields = getattr(kind, "_fields", None)
        # A dict without entries leaves no tensor behind.
        state: Any = nested if fields is None else kind(**{f: nested.get(f, {}) for f in fields})
        return state


def draws(learner: AnyLearner) -> bool:
    """Whether a learner, or dropout in its network, draws random numbers."""
    return learner.stochastic or any(
        isinstance(module, Dropout) and module.p > 0 for module in learner.modules()
    )


def runs_under_vmap(learner: AnyLearner) -> bool:
    """Whether neither a learner nor a part of its network says that it is not `vmappable`."""
    return all(getattr(module, "vmappable", True) for module in learner.modules())


_turns: WeakKeyDictionary[nn.Module, AbstractContextManager[Any]] = WeakKeyDictionary()


def alone(learner: AnyLearner) -> AbstractContextManager[Any]:
    """Inside, no other thread that asks for the same computes with this learner.

    A gradient-based learner puts a task's parameters into the network, which all tasks share.
    """
    # Beside the learner rather than in it: a lock cannot be copied, and learners are.
    return _turns.setdefault(learner, RLock())


def flatten_state(state: Any) -> dict[str, Tensor]:
    """A state's tensors by their path, such as `parameters/conv.weight`."""
    if isinstance(state, Tensor):
        return {"": state}
    items = state if isinstance(state, dict) else state._asdict()
    return {
        f"{key}/{path}" if path else key: tensor
        for key, part in items.items()
        for path, tensor in flatten_state(part).items()
    }


def state_bytes(state: Any) -> int:
    """Returns the size of a state's tensors in bytes."""
    return sum(t.nbytes for t in flatten_state(state).values())


AnyLearner = Learner[Any]
