"""Meta-gradients recorded as a list of tensor operations, which run again without the Python.

Of the time of a small step most passes in Python: in modules, in the transforms of torch.func and
in autograd, which do the same for every meta-batch. So once a step has been computed often enough
it is recorded by `torch.fx`, and from then on the recording is run: the same operations in the same
order on other numbers, and, where asked for, compiled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner, Learner, draws, runs_under_vmap
from quickstudy.nets.passing import passing
from quickstudy.task import Task

Parameters = dict[str, Tensor]
Step = Callable[[Parameters, Task], tuple[Tensor, ...]]
_log = logging.getLogger(__name__)


class Circumstances(NamedTuple):
    """The circumstances of a step, besides its parameters and tasks.

    Attributes:
        training: Whether the learner is in train mode.
        padded: Whether an example or a class is only padding.
        strategy: How tasks are mapped.
    """

    training: bool
    padded: bool
    strategy: Literal["loop", "vmap"]


class Recording(NamedTuple):
    """A recorded step.

    Attributes:
        run: It, compiled where asked for.
        operations: The same list of operations before it was compiled, where it multiplies in
            bfloat16: a compiler that joins operations rounds elsewhere, so that the results of its
            code say too little of whether the list is right.
    """

    run: Step
    operations: Step | None = None


class Recorder:
    """Runs steps, at first as they are, later from a recording of them.

    A recording is one of shapes: tasks of other shapes have their own. Before it is relied on, it
    must give what the step itself gives for other tasks than those it was made from; if it does
    not, recording is given up.

    Args:
        learner: Its steps are recorded only if they are the same list of operations every time: it
            draws no random numbers, does not depend on how far meta-training is, and its loss runs
            under vmap, which does not let it look at values. Nor with `meta_gradient="checkpoint"`
            unless compiled: it is asked for to save memory, and a list grows with the inner steps.
        compiled: Whether recordings are compiled by `torch.compile`.
        after: Seconds that a step of some shapes must have taken in all before it is recorded,
            which takes some hundred times as long as the step.
        most: Recordings that are kept.
    """

    def __init__(
        self, learner: AnyLearner, compiled: bool = False, after: float = 10.0, most: int = 4
    ) -> None:
        self.learner = type(learner).__name__
        self.compiled, self.after, self.most = compiled, after, most
        changes = draws(learner) or learner.overrides(Learner.on_progress)
        repeatable = runs_under_vmap(learner, of_loss=True) and not changes
        frugal = learner.meta_gradient == "checkpoint" and not compiled
        self.able = repeatable and not frugal
        if compiled and not self.able:
            raise UserError(
                "compile: is for learners whose steps are the same operations every time; received "
                f"a {self.learner}, which draws random numbers, changes with the progress of "
                "meta-training, or looks at values; leave compile out."
            )
        self._seconds: dict[Any, float] = {}
        self._made: dict[Any, Recording] = {}
        self._relied_on: dict[Any, Step] = {}

    def prepare(
        self, step: Step, parameters: Parameters, tasks: Task, circumstances: Circumstances
    ) -> None:
        """Records the step, or tries its recording, when it is time to; not while threads run it.

        Raises:
            UserError: It is to be compiled and cannot be.
        """
        key = _key(tasks, circumstances)
        if not self.able or key in self._relied_on:
            return
        try:
            if key in self._made:
                self._try(key, step(parameters, tasks), parameters, tasks)
            elif self._seconds.get(key, 0.0) >= self.after and len(self._made) < self.most:
                self._made[key] = self._recorded(step, parameters, tasks)
        except Exception as error:  # Tracing raises anything; the step itself works without it.
            if self.compiled:
                raise UserError(
                    f"compile: the step of {self.learner} could not be compiled; received: "
                    f"{str(error).splitlines()[0]}; install a C++ compiler, or leave compile out."
                ) from error
            self.able = False
            _log.info("the step of %s is not recorded", self.learner, exc_info=error)

    def run(
        self, step: Step, parameters: Parameters, tasks: Task, circumstances: Circumstances
    ) -> tuple[Tensor, ...]:
        """Returns `step(parameters, tasks)`, from a recording where there is one."""
        if not self.able:
            return step(parameters, tasks)
        key = _key(tasks, circumstances)
        if key in self._relied_on:
            with torch.no_grad():
                return self._relied_on[key](parameters, tasks)
        started = time.perf_counter()
        results = step(parameters, tasks)
        self._seconds[key] = self._seconds.get(key, 0.0) + time.perf_counter() - started
        return results

    def _try(
        self, key: Any, results: tuple[Tensor, ...], parameters: Parameters, tasks: Task
    ) -> None:
        """Relies on a recording if it gives the results of the step."""
        if not all(bool(torch.isfinite(t).all()) for t in results):
            return
        run, operations = self._made[key]
        with torch.no_grad():
            recorded = (operations or run)(parameters, tasks)
            same = all(_close(a, b) for a, b in zip(results, recorded, strict=True))
            if same and operations is not None:
                compiled = run(parameters, tasks)
                same = all(_rounded(a, b) for a, b in zip(results, compiled, strict=True))
        if same:
            # The operations alone were for this trial.
            self._relied_on[key], self._made[key] = run, Recording(run)
        else:
            self.able = False
            # Whoever asked for a compiled step is told that there is none.
            _log.log(
                logging.WARNING if self.compiled else logging.INFO,
                "the %s of %s gives other results than its step, which goes on without it",
                "compiled step" if self.compiled else "recording",
                self.learner,
            )

    def _recorded(self, step: Step, parameters: Parameters, tasks: Task) -> Recording:
        leaves, structure = tree_flatten(tasks)

        def flat(*tensors: Tensor) -> tuple[Tensor, ...]:
            parts = iter(tensors)
            named = {name: next(parts) for name in parameters}
            return step(named, tree_unflatten(list(parts), structure))

        # With shapes alone: real tensors of all operations would be held until the end.
        tracer = make_fx(flat, tracing_mode="fake", _allow_non_fake_inputs=True)
        graph = tracer(*parameters.values(), *leaves)
        _shorten(graph)

        def of(run: Callable[..., Any]) -> Step:
            return lambda p, tasks: tuple(run(*p.values(), *tree_leaves(tasks)))

        if not self.compiled:
            return Recording(of(_program(graph)))
        operations = of(_program(graph)) if passing().bf16 else None
        return Recording(of(torch.compile(graph, dynamic=False)), operations)


def _shorten(graph: GraphModule) -> None:
    """Leaves out what changes nothing: a matrix transposed twice, `detach`, unused results."""
    aten = torch.ops.aten
    for node in graph.graph.nodes:
        source: Any = node.args[0] if node.args else None
        if node.target == aten.detach.default:
            node.replace_all_uses_with(source)
        elif node.target == aten.t.default and getattr(source, "target", None) == node.target:
            node.replace_all_uses_with(source.args[0])
        node.meta.clear()  # Shapes of thousands of tensors, which nothing asks for any more.
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _program(graph: GraphModule) -> Callable[..., Any]:
    """The graph's code and constants, without its nodes, which take kilobytes each."""
    constants = {node.target for node in graph.graph.nodes if node.op == "get_attr"}
    values = SimpleNamespace(**{name: getattr(graph, name) for name in constants})
    return partial(type(graph).forward, values)


def _key(tasks: Task, circumstances: Circumstances) -> Any:
    tensors = tree_leaves(tasks)
    return (circumstances, *((t.shape, t.stride(), t.dtype, t.device) for t in tensors))


def _rounded(a: Tensor, b: Tensor) -> bool:
    """Equal up to what rounding to bfloat16 in other places makes of a step."""
    return bool((a - b).norm() <= 8 * torch.finfo(torch.bfloat16).eps * a.norm() + 1e-12)


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal up to what rounding makes of a step."""
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(a.abs().amax()) + 1e-12)
