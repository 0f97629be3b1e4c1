"""MAML with implicit gradients against its paper, closed forms, and MAML through a long descent."""

from __future__ import annotations

import pytest
import torch
from cases import ROW, WAY, Plain
from reference import implicit_maml as reference
from small import blobs, quick
from torch import Tensor, nn
from torch.func import functional_call

from quickstudy import build
from quickstudy.batching.batch import Batching, meta_gradient
from quickstudy.errors import UserError
from quickstudy.evaluation.scores import score
from quickstudy.inner.descent import Parameters
from quickstudy.learners import FOMAML, ImplicitMAML
from quickstudy.nets import SharedLinear
from quickstudy.task import Examples, Task, class_present, mask_absent, stack
from quickstudy.testing import random_tasks

LAM = 0.7


def listed(part: Examples) -> tuple[Tensor, list[int]]:
    return part.x, part.y.argmax(dim=1).tolist()


@pytest.mark.parametrize("batching", ["loop", "vmap"])
@pytest.mark.parametrize("cg_steps", [0, 1, 4, None])
def test_against_the_paper(cg_steps: int | None, batching: Batching) -> None:
    torch.manual_seed(0)
    net = Plain(6, WAY)
    steps = 120 if cg_steps is None else cg_steps
    learner = ImplicitMAML(
        net, lam=LAM, inner_lr=0.1, inner_steps=6, cg_steps=steps, cg_damping=0.4
    ).double()
    drawn = random_tasks("classification", ROW, WAY, seed=2)[0]
    weights = {name: p.detach().clone() for name, p in learner.named_parameters()}
    support, query = listed(drawn.support), listed(drawn.query)
    prediction, loss, gradient = reference.task(weights, support, query, LAM, 0.1, 6, cg_steps, 0.4)
    torch.testing.assert_close(learner.respond(drawn), prediction)
    ours = meta_gradient(learner, stack([drawn]), batching)
    torch.testing.assert_close(ours.losses[0], loss, rtol=1e-10, atol=0)
    torch.testing.assert_close(ours.gradients, gradient, rtol=1e-8, atol=1e-10)


def linear(**settings: float) -> ImplicitMAML:
    """Linear regression, whose inner problem is a quadratic with a known optimum."""
    torch.manual_seed(0)
    return ImplicitMAML(nn.Linear(6, 2), "regression", **{"lam": LAM, **settings}).double()  # type: ignore[arg-type]


def converged(**settings: float) -> ImplicitMAML:
    few = {"inner_steps": 400, "inner_lr": 0.1, "cg_steps": 14, "cg_damping": 0.0}
    return linear(**{**few, **settings})


def regression() -> Task:
    return random_tasks("regression", ROW, 2, seed=1)[0]


def solved(theta: Parameters, task: Task) -> Tensor:
    """The query loss at the optimum, (X'X / n + lam I)^{-1} (X'Y / n + lam theta), for two outputs.

    The loss is a mean over n examples and two outputs, so that X'X / n is its Hessian.
    """
    support, query = (
        torch.cat([part.x, part.x.new_ones(len(part.x), 1)], dim=1)
        for part in (task.support, task.query)
    )
    start = torch.cat([theta["net.weight"], theta["net.bias"][:, None]], dim=1).T
    n = len(support)
    left = support.T @ support / n + LAM * torch.eye(7, dtype=start.dtype)
    phi = torch.linalg.solve(left, support.T @ task.support.y / n + LAM * start)
    return (query @ phi - task.query.y).square().mean()


@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_linear_regression_has_the_meta_gradient_of_the_closed_form(batching: Batching) -> None:
    learner, task = converged(), regression()
    theta = {name: p.detach().requires_grad_() for name, p in learner.named_parameters()}
    value = solved(theta, task)
    want = torch.autograd.grad(value, list(theta.values()))
    found = meta_gradient(learner, stack([task]), batching)
    torch.testing.assert_close(found.losses[0], value.detach(), rtol=1e-9, atol=0)
    for got, expected in zip(found.gradients.values(), want, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-9)


def test_the_path_does_not_matter() -> None:
    task = stack([regression()])
    first, second = (
        meta_gradient(converged(inner_lr=lr, inner_steps=steps), task, "loop").gradients
        for lr, steps in ((0.1, 400), (0.04, 1000))
    )
    torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-9)


def unrolled(learner: ImplicitMAML, task: Task, steps: int, lr: float) -> Parameters:
    """The gradient of the query loss through all steps of the pulled descent."""
    theta = {name: p.detach().requires_grad_() for name, p in learner.net.named_parameters()}
    way = task.support.y.shape[1]
    start = {
        name: p.expand(way, *p.shape[1:]) if name in ("2.weight", "2.bias") else p
        for name, p in theta.items()
    }
    present = class_present(task.support)

    def loss(phi: Parameters, part: Examples) -> Tensor:
        out = functional_call(learner.net, phi, (part.x,))
        return learner.loss(mask_absent(out, present), part)

    phi = start
    for _ in range(steps):
        pull = sum((phi[name] - p).square().sum() for name, p in start.items())
        value = loss(phi, task.support) + learner.lam / 2 * pull
        slopes = torch.autograd.grad(value, list(phi.values()), create_graph=True)
        phi = {name: p - lr * g for (name, p), g in zip(phi.items(), slopes, strict=True)}
    found = torch.autograd.grad(loss(phi, task.query), list(theta.values()))
    return dict(zip(theta, found, strict=True))


def test_a_network_has_the_meta_gradient_through_a_long_descent() -> None:
    """And its shared head's row has the sum over the classes, by the chain rule."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), SharedLinear(4))
    learner = ImplicitMAML(
        net, lam=2.0, inner_lr=0.25, inner_steps=70, cg_steps=40, cg_damping=0.0
    ).double()
    task = random_tasks("classification", ROW, WAY, seed=4)[1]
    want = unrolled(learner, task, steps=70, lr=0.25)
    found = meta_gradient(learner, stack([task]), "loop").gradients
    first = FOMAML(net, inner_lr=1e-30, inner_steps=1).double()
    apart = meta_gradient(first, stack([task]), "loop").gradients
    for name, g in want.items():
        torch.testing.assert_close(found[f"net.{name}"], g, rtol=1e-7, atol=1e-9)
    assert any((apart[f"net.{n}"] - g).abs().max() > 1e-3 for n, g in want.items())


def graph_size(inner_steps: int) -> int:
    """Nodes of the graph that autograd keeps of a task's loss."""
    learner = linear(inner_steps=inner_steps, inner_lr=0.1)
    seen, waiting = set(), [learner(regression()).grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [parent for parent, _ in node.next_functions]
    return len(seen)


def test_the_graph_does_not_grow_with_the_steps() -> None:
    assert graph_size(1) == graph_size(30) < 20


def test_a_pull_of_its_own_in_eval_mode() -> None:
    task = regression()
    pulled, free = linear(adapt_steps=200).eval(), linear(adapt_steps=200, adapt_lam=0.0).eval()
    theta = pulled.net.weight
    near, far = (m.adapt(task.support).parameters["weight"] for m in (pulled, free))
    assert (near - theta).norm() < 0.9 * (far - theta).norm()  # type: ignore[operator]
    torch.testing.assert_close(
        free.train().adapt(task.support).parameters, pulled.train().adapt(task.support).parameters
    )


def test_lam_must_be_positive() -> None:
    with pytest.raises(UserError, match=r"lam must be above 0.*received 0\.0.*adapt_lam=0"):
        linear(lam=0.0)


def test_it_learns() -> None:
    source = blobs(n_query=8, noise=4)
    spec = {"name": "ImplicitMAML", "inner_steps": 5, "cg_steps": 2}
    learner = build(spec, source, net={"name": "MLP", "hidden": (32,)})
    tasks = [source.task("test", index) for index in range(200)]
    before = score(learner, tasks).per_task.mean()
    quick(source, learner, None, steps=50, meta_batch=4, valid_every=50, outer_lr=1e-2)
    after = score(learner, tasks).per_task.mean()
    assert before < 0.45, before
    assert after > 0.62, after
