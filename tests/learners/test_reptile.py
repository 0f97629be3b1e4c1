"""Reptile against its paper, closed forms, its outer step by hand, and its Taylor expansion."""

from __future__ import annotations

from functools import partial
from itertools import permutations

import pytest
import torch
from cases import PICTURE, ROW, WAY, conv, shared
from reference import reptile as reference
from small import blobs, quick
from torch import Tensor, nn
from torch.func import grad, vmap

from quickstudy import Training, build
from quickstudy.batching.batch import Batching, meta_gradient
from quickstudy.errors import UserError
from quickstudy.evaluation.scores import score
from quickstudy.learners import FOMAML, MAML, Reptile
from quickstudy.learners.gradient_based import GradientBased
from quickstudy.learners.reptile import InnerOptimizer, in_turn
from quickstudy.nets import MLP, SharedLinear
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task, examples, stack
from quickstudy.tasks import Sinusoid
from quickstudy.testing import random_tasks
from quickstudy.training.outer import outer_step


def listed(part: Examples) -> tuple[Tensor, list[int]]:
    return part.x, part.y.argmax(dim=1).tolist()


def weights(learner: GradientBased) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in learner.named_parameters()}


@pytest.mark.parametrize("batching", ["loop", "vmap"])
@pytest.mark.parametrize("head", ["shared", "per_class"])
@pytest.mark.parametrize(
    ("optimizer", "norm"), [("Adam", "layer"), ("SGD", "support"), ("SGD", "batch")]
)
def test_against_the_paper(
    optimizer: InnerOptimizer, norm: NormKind, head: str, batching: Batching
) -> None:
    torch.manual_seed(0)
    net = shared(norm) if head == "shared" else nn.Sequential(conv(norm), nn.Linear(8, WAY))
    lr = 0.01 if optimizer == "Adam" else 0.3
    learner = Reptile(net, "classification", optimizer, lr, inner_steps=5, inner_batch=4).double()
    drawn = random_tasks("classification", PICTURE, WAY, seed=2)[0]
    prediction, loss, gradient = reference.task(
        weights(learner), norm, listed(drawn.support), listed(drawn.query), WAY, optimizer, lr, 5, 4
    )
    torch.testing.assert_close(learner.respond(drawn), prediction)
    ours = meta_gradient(learner, stack([drawn]), batching)
    torch.testing.assert_close(ours.losses[0], loss, rtol=1e-9, atol=0)
    torch.testing.assert_close(ours.gradients, gradient, rtol=1e-7, atol=1e-9)


def test_batches_go_round_without_replacement() -> None:
    everyone = torch.ones(5)
    rounds = [in_turn(everyone, 3 * k, 3).tolist() for k in range(5)]
    assert rounds == [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1], [2, 3, 4]]
    assert in_turn(torch.ones(2), 1, 5).tolist() == [1, 0, 1, 0, 1]
    # Rows 1 and 3 are padding.
    weight = torch.tensor([1.0, 0, 1, 0, 1])
    assert in_turn(weight, 0, 4).tolist() == [0, 2, 4, 0]
    both = torch.stack([weight, torch.ones(5)])
    assert vmap(lambda w: in_turn(w, 2, 4))(both).tolist() == [[4, 0, 2, 4], [2, 3, 4, 0]]


class Constant(nn.Module):
    """Predicts its one parameter."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.phi = nn.Parameter(torch.tensor([start], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.phi.expand(len(x), 1)


def points(*targets: float) -> Examples:
    y = torch.tensor(targets, dtype=torch.float64)
    return examples(torch.zeros(len(y), 1, dtype=torch.float64), y)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_quadratic_has_the_meta_gradient_of_the_closed_form(steps: int) -> None:
    """(phi - y)^2 for one y: each step of lr shrinks phi - y by 1 - 2 lr."""
    theta, y, lr = 1.7, 0.4, 0.1
    learner = Reptile(Constant(theta), "regression", "SGD", lr, steps, inner_batch=2)
    task = stack([Task(points(y, y), points(y))])
    found = meta_gradient(learner, task, "loop")
    shrink = (1 - 2 * lr) ** steps
    torch.testing.assert_close(found.gradients["net.phi"].item(), (1 - shrink) * (theta - y))
    torch.testing.assert_close(found.losses.item(), (shrink * (theta - y)) ** 2)


def test_support_and_query_are_learned_from_in_turn() -> None:
    """By hand: with lr 1/2, a step on (phi - y)^2 ends at y, or at the mean y of its batch."""
    learner = Reptile(Constant(5.0), "regression", "SGD", 0.5, 3, 1, adapt_steps=2, adapt_batch=2)
    task = Task(points(1.0, 2.0), points(3.0))
    # One at a time, the third and last is the query.
    assert meta_gradient(learner, stack([task]), "loop").gradients["net.phi"].item() == 5.0 - 3.0
    # Adapting sees the support alone, and two at a time.
    assert learner.eval().adapt(task.support).parameters["phi"].item() == 1.5


def test_first_adam_step_is_of_size_lr_and_each_task_starts_anew() -> None:
    learner = Reptile(Constant(5.0), "regression", "Adam", 0.25, 1, 2)
    for target in (1.0, 4.0, 9.0):
        task = stack([Task(points(target), points(target))])
        found = meta_gradient(learner, task, "loop").gradients["net.phi"].item()
        assert found == pytest.approx(0.25 if target < 5 else -0.25, rel=1e-8)


def outer(batching: Batching, indices: list[int], epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """theta before, theta after an outer step of SGD, and phi of each task."""
    torch.manual_seed(0)
    source = Sinusoid(n_shot=4, n_query=6)
    net = nn.Sequential(MLP((1,), (8,)), nn.Linear(8, 1))
    learner = Reptile(net, "regression", inner_lr=0.02, inner_batch=3).double()
    before = nn.utils.parameters_to_vector(learner.parameters()).detach().clone()
    ends = []
    for index in indices:
        task = source.task("train", index)
        both = Examples(*(torch.cat(pair).double() for pair in zip(*task, strict=True)))
        phi = learner.adapt(both).parameters
        ends.append(torch.cat([phi[name].flatten() for name, _ in net.named_parameters()]))
    settings = Training(outer_optimizer="SGD", outer_lr=epsilon, schedule="linear")
    optimizer = settings.optimizer(learner.meta_parameters())
    outer_step(learner, optimizer, source, "train", indices, batching=batching)
    after = nn.utils.parameters_to_vector(learner.parameters()).detach()
    return before, after, torch.stack(ends)


@pytest.mark.parametrize("batching", ["loop", "vmap"])
@pytest.mark.parametrize("indices", [[3], [0, 1, 2, 3]], ids=["serial", "batched"])
def test_an_outer_step_of_sgd_moves_towards_the_mean_phi(
    indices: list[int], batching: Batching
) -> None:
    before, after, phi = outer(batching, indices, epsilon=0.6)
    torch.testing.assert_close(after, before + 0.6 * (phi - before).mean(dim=0))


def test_the_batched_step_is_the_mean_of_the_serial_ones() -> None:
    before, batched, _ = outer("loop", [0, 1, 2], epsilon=1.0)
    serial = [outer("loop", [index], epsilon=1.0)[1] for index in range(3)]
    torch.testing.assert_close(batched, torch.stack(serial).mean(dim=0))
    assert (batched - before).abs().max() > 1e-3


def test_a_shared_row_moves_towards_the_mean_of_its_rows() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), SharedLinear(4))
    task = random_tasks("classification", ROW, WAY, seed=3)[2]
    optimizers: tuple[InnerOptimizer, ...] = ("Adam", "SGD")
    for optimizer in optimizers:
        learner = Reptile(net, "classification", optimizer, 0.05, 5, 4).double()
        both = Examples(*(torch.cat(pair) for pair in zip(*task, strict=True)))
        rows = learner.adapt(both).parameters["2.weight"]
        found = meta_gradient(learner, stack([task]), "loop").gradients["net.2.weight"]
        assert (rows - rows[0]).abs().max() > 1e-2
        torch.testing.assert_close(found[0], (net[2].weight - rows).mean(dim=0).detach())  # type: ignore[operator]
    # Of SGD, whose steps of the rows add up to zero.
    assert found.abs().max() < 1e-15


def test_a_batch_that_lacks_a_class_still_has_all_outputs() -> None:
    """With a batch of one example, softmax over the other classes too moves their rows."""
    torch.manual_seed(0)
    learner = Reptile(nn.Linear(6, WAY), inner_optimizer="SGD", inner_steps=1, inner_batch=1)
    task = random_tasks("classification", ROW, WAY)[0]
    net = learner.double().net
    moved = learner.adapt(task.support).parameters["bias"] - net.bias  # type: ignore[operator]
    assert (moved.abs() > 1e-5).all()


def expansion(learner: GradientBased, lr: float) -> tuple[float, float]:
    """Coefficients of AvgGrad and AvgGradInner in the expected meta-gradient for two batches.

    The expectation is over the order of the batches: one is the support and the other the query.
    """
    rng = torch.Generator().manual_seed(5)
    draw = partial(torch.randn, generator=rng, dtype=torch.float64)
    parts = [examples(draw(4, 6), draw(4, 2)) for _ in range(2)]
    theta = {name: p.detach() for name, p in learner.net.named_parameters()}

    def loss(phi: dict[str, Tensor], part: Examples) -> Tensor:
        return learner.loss(torch.func.functional_call(learner.net, phi, (part.x,)), part)

    def slope(phi: dict[str, Tensor], part: Examples) -> Tensor:
        return torch.cat([g.flatten() for g in grad(loss)(phi, part).values()])

    first, second = (slope(theta, part) for part in parts)
    average = (first + second) / 2
    # The gradient of g1 . g2 is H1 g2 + H2 g1, and AvgGradInner is half of it.
    product = grad(lambda phi: slope(phi, parts[0]) @ slope(phi, parts[1]))(theta)
    inner = torch.cat([g.flatten() for g in product.values()]) / 2
    found = torch.zeros_like(average)
    for support, query in permutations(parts):
        gradients = meta_gradient(learner, stack([Task(support, query)]), "loop").gradients
        found += torch.cat([g.flatten() for g in gradients.values()]) / 2
    columns = torch.stack([average, lr * inner], dim=1)
    solution = torch.linalg.lstsq(columns, found[:, None]).solution[:, 0]
    return float(solution[0]), float(solution[1])


def test_taylor_expansions_of_maml_fomaml_and_reptile() -> None:
    """Leading coefficients for two batches: section 5.1 of the paper."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    lr = 1e-4
    maml, fomaml = (kind(net, "regression", lr, 1).double() for kind in (MAML, FOMAML))
    reptile = Reptile(net, "regression", "SGD", lr, inner_steps=2, inner_batch=4).double()
    assert expansion(maml, lr) == pytest.approx((1, -2), rel=5e-3)
    assert expansion(fomaml, lr) == pytest.approx((1, -1), rel=5e-3)
    found = expansion(reptile, lr)
    assert (found[0] / lr, found[1] / lr) == pytest.approx((2, -1), rel=5e-3)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(UserError, match=r"one of Adam, SGD; received 'RMSprop'; choose"):
        Reptile(nn.Linear(6, WAY), inner_optimizer="RMSprop")  # type: ignore[arg-type]


def test_it_learns() -> None:
    source = blobs(n_query=8, noise=4)
    spec = {"name": "Reptile", "inner_lr": 0.03, "inner_steps": 6, "adapt_steps": 20}
    learner = build(spec, source, net={"name": "MLP", "hidden": (32,)})
    tasks = [source.task("test", index) for index in range(200)]
    before = score(learner, tasks).per_task.mean()
    outer = {"outer_optimizer": "SGD", "outer_lr": 1.0, "schedule": "linear"}
    quick(source, learner, None, steps=80, meta_batch=4, valid_every=80, **outer)
    after = score(learner, tasks).per_task.mean()
    assert before < 0.47, before
    assert after > 0.58, after
