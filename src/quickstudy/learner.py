"""The contract: what every meta-learner of quickstudy is.

A learner is two pure functions, both written for **one** task:

    adapt(support)    -> state         what is learned from the few examples
    predict(state, x) -> prediction    what is then said about new inputs

Its meta-parameters are the parameters of the module; all that depends on the task is in the state,
and nothing is stored on `self` after `__init__`. There is no task axis anywhere: `batching/` maps
the two functions over tasks.

`Learner` is all that the rest of the library knows of a learner: two abstract methods, a few
optional ones that say None where there is nothing to say, and `Tags`, the properties it declares.
`quickstudy.testing.check_learner` holds a learner to them. One that sees inputs through an encoder
is shorter as an `EmbeddingLearner` (`quickstudy.learners.embedding`).
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Generic, Literal, NamedTuple, Self, TypeVar, get_args, get_origin
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.inner.descent import MetaGradient
from quickstudy.inner.ridge import HeldOut
from quickstudy.nets import traits
from quickstudy.nets.passing import padding
from quickstudy.rules import UpdateRule
from quickstudy.task import Examples, Kind, Task

__all__ = [
    "AnyLearner",
    "Contributions",
    "HeldOut",
    "Learner",
    "Tags",
    "check_fits",
    "cross_entropy",
    "mean_squared_error",
]

State = TypeVar("State")


@dataclass(frozen=True)
class Tags:
    """The properties of a learner. A class declares its own, and `__init__` may replace them.

        tags = Tags(order_matters=True)
        self.tags = replace(self.tags, transductive="batch" in norm.kinds(net))

    Attributes:
        transductive: A query's prediction depends on the other queries.
        stochastic: `adapt` or the loss draws random numbers.
        order_matters: The order of the support examples changes the state.
        label_equivariant: Relabelling the classes relabels the predictions.
        unlabelled: The labels of a support say no more than which classes there are, so that it
            adapts to examples without labels, if at all.
        vmappable: `adapt` and `predict` run under `torch.func.vmap`; else tasks are looped.
        vmappable_loss: `task_loss` does; as `vmappable` where None.
        exact_meta_gradient: The gradient of `task_loss` is its derivative, not an estimate of it.
        meta_trained: Meta-training sets its parameters; False for a baseline, which learns from
            each support alone.
        episodic: It meta-trains on tasks, rather than on batches of all meta-train classes.
        reads_columns: It takes inputs of any length; the columns of a user's rows are made ready
            for each task alone.
        needs_head: A network that is made for it gives outputs rather than features.
        default_head: The head of such a network: `"shared"` by all classes, `"per_class"`, or
            `"zero"` at the start.
        net_options: Options of such a network, where it has them and nobody gave them.
        net: Name and options of its network where nobody names one; None where the inputs decide.

    Example:
        >>> qs.Tags(order_matters=True).label_equivariant
        True
    """

    transductive: bool = False
    stochastic: bool = False
    order_matters: bool = False
    label_equivariant: bool = True
    unlabelled: bool = False
    vmappable: bool = True
    vmappable_loss: bool | None = None
    exact_meta_gradient: bool = True
    meta_trained: bool = True
    episodic: bool = True
    reads_columns: bool = False
    needs_head: bool = False
    default_head: Literal["shared", "per_class", "zero"] = "shared"
    net_options: Mapping[str, Any] = field(default_factory=dict)
    net: Mapping[str, Any] | None = None


class Learner(nn.Module, ABC, Generic[State]):
    """A meta-learner for one task.

    Write `adapt` and `predict`, and declare in `tags` what is not as usual. Batching, training,
    evaluation, explanations, files and serving then work with it. All else is optional:

    - another loss (`loss`) or another meta-gradient (`task_loss`), a start in closed form
      (`initialise`), data that it makes itself (`practise`, `passes`), and what changes in the
      course of meta-training (`on_progress`);
    - what explains a prediction: `features`, `contributions`, `support_attention`, `held_out`;
    - what else is measured: `distribution`, `quantiles`, `sequence_logits`, `ablations`;
    - for a learner that takes inner steps: `inner_steps`, `adapt_steps`, `meta_gradient`,
      `trajectory`, `adapted_parameters`; and for one that learns how they are taken:
      `update_rule`, `with_update_rule`, `objective_losses`.

    The state is a NamedTuple or dict of tensors (no Python numbers), so that it passes through
    `torch.func.vmap` and is saved tensor by tensor.

    Attributes:
        tags: The properties it declares.
        kind: What the targets are.
        passes: Steps of the outer optimizer on what was practised once.
        specs: How `quickstudy.build` made it, plain JSON; None for a learner made in Python.
        inner_steps: Inner steps that `adapt` takes in train mode; None for a learner without steps.
        adapt_steps: The same in eval mode.
        meta_gradient: How inner steps are differentiated, see `quickstudy.inner.descent.descend`;
            None for a learner without steps.

    Example:
        >>> class NearestMean(qs.Learner):
        ...     def adapt(self, support):
        ...         member = (support.y * support.weight[:, None]).T
        ...         return {"means": member @ support.x / member.sum(dim=1, keepdim=True)}
        ...     def predict(self, state, x):
        ...         return -torch.cdist(x, state["means"])
    """

    tags: Tags = Tags()
    kind: Kind = "classification"
    passes: int = 1
    specs: dict[str, Any] | None = None
    inner_steps: int | None = None
    adapt_steps: int | None = None
    meta_gradient: MetaGradient | None = None

    @abstractmethod
    def adapt(self, support: Examples) -> State:
        """Learns from the support examples."""

    @abstractmethod
    def predict(self, state: State, x: Tensor) -> Tensor:
        """Logits `(query, way)`, or values `(query, outputs)`, for inputs `(query, *x)`."""

    # Meta-training

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
        """The loss of one task that meta-training minimises: of the queries, after adapting."""
        return self.loss(self.respond(task), task.query)

    def forward(self, task: Task) -> Tensor:
        """`task_loss`, so that `torch.func.functional_call` reaches it."""
        return self.task_loss(task)

    def practise(self, task: Task) -> Task:
        """The task from which meta-training learns: by default the one that the source gives.

        In control a source gives worlds, and a policy makes the data itself: it plays, adapts to
        what it has played, and plays again. Called once in an outer step, without gradients.
        """
        return task

    def initialise(self, tasks: Iterable[Task]) -> None:
        """Sets meta-parameters from some meta-train tasks, once before the first outer step.

        By default nothing, and the tasks are not looked at. The same tasks give the same
        parameters; padding does not count.
        """

    def on_progress(self, progress: float) -> None:
        """Called before each outer step with the fraction of meta-training done, in [0, 1)."""

    def meta_parameters(self) -> dict[str, Tensor]:
        """The parameters that meta-training changes, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def feature_network(self) -> nn.Module | None:
        """The network from inputs to features: its module `net`; None if it has none."""
        return self._modules.get("net")

    # What explains a prediction

    def features(self, state: State, x: Tensor) -> Tensor | None:
        """The space `(examples, features)` in which inputs are compared; None for no such space."""
        return None

    def contributions(self, state: State, support: Examples, x: Tensor) -> Contributions | None:
        """The part of each support example in the predictions; None where no such sum is exact.

        A class that is only padding gets nothing.
        """
        return None

    def support_attention(self, state: State, support: Examples, x: Tensor) -> Tensor | None:
        """How queries attend to the support, `(query, groups, heads, support)`; None if not at all.

        Over the support each row sums to 1. A learner that reads the support for each class apart
        has a group a class; any other has one. Layers count as heads.
        """
        return None

    def held_out(self, state: State, support: Examples, x: Tensor) -> HeldOut | None:
        """The predictions without each support example; None where no formula gives them.

        They are those of a learner that is adapted again, without the example, up to rounding. All
        examples have weight 1.

        Returns:
            For each example the prediction of itself, and those of the queries x.
        """
        return None

    # What else is measured

    def distribution(self, state: State, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation `(query, outputs)` of the targets of a regression task."""
        return None

    def quantiles(self, state: State, x: Tensor, levels: Sequence[float]) -> Tensor | None:
        """Quantiles `(query, outputs, levels)` of a regression; None: those of `distribution`."""
        return None

    def sequence_logits(self, task: Task) -> Tensor | None:
        """Logits `(support + query, way)` of each example after those before it, as one sequence.

        None for a learner that does not read examples one after the other.
        """
        return None

    def ablations(self) -> dict[str, AnyLearner]:
        """Copies of this learner that lack one of its parts, by a phrase that says which."""
        return {}

    def overrides(self, method: Callable[..., Any]) -> bool:
        """Whether this learner has a version of its own of a method such as `Learner.loss`."""
        return getattr(type(self), method.__name__) is not method

    # Learners that take inner steps

    def trajectory(self, support: Examples, steps: int) -> Iterator[State] | None:
        """The states after 0, 1, ..., `steps` inner steps; None for a learner without steps."""
        return None

    def adapted_parameters(self, state: State) -> dict[str, Tensor] | None:
        """The parameters that adapting changed, by their name in this module; None without such."""
        return None

    @property
    def update_rule(self) -> UpdateRule | None:
        """The rule by which inner steps are taken, where meta-training learns it."""
        return None

    def with_update_rule(self, rule: UpdateRule) -> Self | None:
        """A copy that takes its steps by another rule; None for a learner that learns no rule."""
        return None

    def objective_losses(self, task: Task, steps: int) -> Tensor | None:
        """Losses `(steps + 1,)` that meta-training of a rule minimises, after 0, 1, ... steps."""
        return None

    # States as tensors

    def state_from(self, tensors: dict[str, Tensor]) -> State:
        """The state whose `flatten_state` gave these tensors."""
        nested: dict[str, Any] = {}
        for path, tensor in sorted(tensors.items()):
            *outer, leaf = path.split("/")
            inside = nested
            for key in outer:
                inside = inside.setdefault(key, {})
            inside[leaf] = tensor
        state_type = _state_type(type(self))
        fields = getattr(state_type, "_fields", None)
        # A dict without entries leaves no tensor behind.
        state: Any = (
            nested if fields is None else state_type(**{f: nested.get(f, {}) for f in fields})
        )
        return state


AnyLearner = Learner[Any]


class Contributions(NamedTuple):
    """The part of each support example in a prediction; over the examples it sums to it.

    Attributes:
        of: The prediction: each class's `"logit"`; its `"probability"`, of which the logit is the
            logarithm; or the `"value"` of a regression.
        parts: The part of each example `(query, support, way)`, or `(query, support, outputs)`.

    Example:
        >>> found = learner.contributions(state, support, query.x)
        >>> found is None or found.parts.shape == (10, 10, 2)  # (query, support, way)
        True
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


def check_kind(builder: type[AnyLearner], kind: Kind) -> None:
    """Raises UserError where a learner is not for tasks of this kind."""
    chooses = "kind" in inspect.signature(builder).parameters
    if kind == builder.kind or (chooses and kind != "control"):
        return
    other = {"control": "PolicyMAML", "regression": "PriorHead or MAML", "classification": "MAML"}
    own = f"{builder.kind}{' or regression' * chooses}"
    raise UserError(
        f"{builder.__name__}: is for {own}; received tasks of {kind}; choose another learner, such "
        f"as {other[kind]}."
    )


def draws(learner: AnyLearner) -> bool:
    """Whether a learner, or dropout in its network, draws random numbers."""
    return learner.tags.stochastic or bool(traits.dropouts(learner))


def runs_under_vmap(learner: AnyLearner, of_loss: bool = False) -> bool:
    """Whether a learner, or its loss alone, and all of its network run under `torch.func.vmap`."""
    loss = learner.tags.vmappable_loss if of_loss else None
    own = learner.tags.vmappable if loss is None else loss
    return own and traits.runs_under_vmap(learner)


_locks: WeakKeyDictionary[nn.Module, AbstractContextManager[Any]] = WeakKeyDictionary()


def locked(learner: AnyLearner) -> AbstractContextManager[Any]:
    """A lock for each learner: its network may hold the parameters of the task at work."""
    # Beside the learner rather than in it: a lock cannot be copied, and learners are.
    return _locks.setdefault(learner, RLock())


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


def _state_type(learner: type[AnyLearner]) -> Any:
    """The argument that a class gives `Learner[...]`, through generic classes in between."""
    for base in vars(learner).get("__orig_bases__", learner.__bases__):
        origin = get_origin(base) or base
        if origin is Learner:
            return next(iter(get_args(base)), None)
        if isinstance(origin, type) and issubclass(origin, Learner):
            argument = _state_type(origin)
            if isinstance(argument, TypeVar) and get_args(base):
                return get_args(base)[vars(origin)["__parameters__"].index(argument)]
            return argument
    return None
