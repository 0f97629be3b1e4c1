"""quickstudy's side of the work, through the functions that meta-training calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from contender import Contender, in_dtype
from torch import Tensor, nn
from work import LR, Work, body, drawings, network, tasks

from quickstudy.batching import batch
from quickstudy.batching.record import Recorder
from quickstudy.evaluation.scores import calibrate_population
from quickstudy.files.machine import keep_memory
from quickstudy.learner import AnyLearner
from quickstudy.learners import ANIL, MAML, PrototypicalNetwork
from quickstudy.nets import MLP, Conv4, passing
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task, stack
from quickstudy.tasks import ClassPool, Dataset, Episodes
from quickstudy.training.outer import outer_step

ALWAYS = ExitStack()


def encoder(norm: NormKind) -> Conv4:
    """The Conv-4 of `work.body`, with its weights."""
    net = Conv4((1, 28, 28), hidden=64, pool="max", norm=norm)
    copy_parameters(body(), net)
    return net


def copy_parameters(source: nn.Module, target: nn.Module) -> None:
    for mine, theirs in zip(target.parameters(), source.parameters(), strict=True):
        mine.data.copy_(theirs.data)


def examples(x: Tensor, y: Tensor) -> Examples:
    target = F.one_hot(y).to(x) if y.dtype == torch.long else y
    return Examples(x, target, x.new_ones(len(x)))


def gradient(
    work: Work, dtype: torch.dtype, learner: AnyLearner, compiled: bool = False
) -> Contender:
    """The meta-gradient of the work's tasks, left in the learner's parameters.

    From a recording, as it is in a meta-training from its tenth second on.
    """
    keep_memory()
    learner = learner.to(dtype)
    batch.to_channels_last(learner, "auto")
    parts = [Task(examples(x, y), examples(x_q, y_q)) for x, y, x_q, y_q in in_dtype(work, dtype)]
    found = stack(parts)
    parameters = learner.meta_parameters()
    recorder = Recorder(learner, compiled, after=0.0)
    # For good, as in meta-training.
    ALWAYS.enter_context(batch.threads(learner, "auto"))

    def step() -> None:
        for name, g in batch.meta_gradient(learner, found, recorder=recorder).gradients.items():
            parameters[name].grad = g

    return step, [*parameters.values()]


def net_for(work: Work) -> nn.Module:
    if work.net == "mlp":
        net = nn.Sequential(MLP((1,), (40, 40)), nn.Linear(40, 1))
    else:
        net = nn.Sequential(encoder("batch"), nn.Linear(64, 5))
    copy_parameters(network(work.net), net)
    return net


def maml(
    work: Work, dtype: torch.dtype, checkpoint: bool = False, compiled: bool = False
) -> Contender:
    second = "checkpoint" if checkpoint else "exact"
    learner = MAML(
        net_for(work),
        kind="regression" if work.net == "mlp" else "classification",
        inner_lr=LR[work.net],
        inner_steps=work.steps,
        meta_gradient="first" if work.first_order else second,  # type: ignore[arg-type]
    )
    return gradient(work, dtype, learner, compiled)


def maml_checkpoint(work: Work, dtype: torch.dtype) -> Contender:
    return maml(work, dtype, checkpoint=True)


def maml_compiled(work: Work, dtype: torch.dtype) -> Contender:
    return maml(work, dtype, compiled=dtype == torch.float32)


def bf16(make: Callable[[Work, torch.dtype], Contender]) -> Callable[..., Contender]:
    """The same with convolutions in bfloat16; in float64, where gradients are checked, as it is."""

    def made(work: Work, dtype: torch.dtype) -> Contender:
        ALWAYS.enter_context(passing.bf16())
        return make(work, dtype)

    return made


def anil(work: Work, dtype: torch.dtype) -> Contender:
    learner = ANIL(net_for(work), inner_lr=LR[work.net], inner_steps=work.steps)
    return gradient(work, dtype, learner)


def episode(work: Work, dtype: torch.dtype) -> Contender:
    return gradient(work, dtype, PrototypicalNetwork(encoder("batch")))


def source(work: Work) -> Episodes:
    x, y = drawings()
    pool = ClassPool(x, y, [str(c) for c in range(int(y.max()) + 1)])
    data = Dataset("drawings", {"train": pool})
    return Episodes(data, work.ways, work.shots, work.queries)


def sample(work: Work, dtype: torch.dtype) -> Contender:
    episodes, index = source(work), iter(range(10**9))
    return lambda: episodes.task("train", next(index)), []


def train(work: Work, dtype: torch.dtype) -> Contender:
    keep_memory()
    episodes, index = source(work), iter(range(10**9))
    learner = PrototypicalNetwork(encoder("population")).train()
    batch.to_channels_last(learner, "auto")
    optimizer, recorder = (
        torch.optim.Adam(learner.parameters(), lr=1e-3),
        Recorder(learner, after=0.0),
    )

    def step() -> None:
        outer_step(learner, optimizer, episodes, "train", [next(index)], recorder=recorder)

    return step, []


def answer(work: Work, dtype: torch.dtype) -> Contender:
    learner = PrototypicalNetwork(encoder("population"))
    calibrate_population(learner, source(work))
    learner.eval()
    ((x, y, x_query, _),) = tasks(work)
    support, query = examples(x, y), x_query[:1]

    def step() -> None:
        with torch.no_grad():
            learner.predict(learner.adapt(support), query)

    return step, []


OURS: dict[tuple[str, str], Callable[[Work, torch.dtype], Contender]] = {
    ("quickstudy", "maml"): maml,
    ("quickstudy checkpoint", "maml"): maml_checkpoint,
    ("quickstudy compiled", "maml"): maml_compiled,
    ("quickstudy bf16", "maml"): bf16(maml),
    ("quickstudy bf16", "episode"): bf16(episode),
    ("quickstudy", "anil"): anil,
    ("quickstudy", "episode"): episode,
    ("quickstudy", "sample"): sample,
    ("quickstudy", "train"): train,
    ("quickstudy", "answer"): answer,
}
