"""Differentiable descent against closed forms, and its three meta-gradients against each other."""

from __future__ import annotations

import pytest
import torch
from cases import META_GRADIENTS, NORMS
from torch import Tensor, nn
from torch.func import grad, vmap

from quickstudy.inner.descent import Context, MetaGradient, Parameters, descend
from quickstudy.nets import MLP, norm
from quickstudy.nets.norm import NormKind

LR, THETA, A, B = 0.3, 1.7, 0.4, -0.9


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def quadratic(parameters: Parameters, context: Context) -> Tensor:
    """(phi - a)^2 / 2, so that one step takes phi to phi - lr (phi - a)."""
    return (parameters["phi"] - context[0]).square() / 2


def outer_loss(theta: Tensor, a: Tensor, lr: Tensor, steps: int, way: MetaGradient) -> Tensor:
    """(phi_K - b)^2 / 2 after K steps towards a."""
    phi = theta
    for parameters in descend(quadratic, {"phi": theta}, (a,), lr, steps, way):
        phi = parameters["phi"]
    return (phi - B).square() / 2


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("way", META_GRADIENTS)
def test_quadratic_has_the_meta_gradient_of_the_closed_form(way: MetaGradient, steps: int) -> None:
    theta, a, lr = (scalar(v).requires_grad_() for v in (THETA, A, LR))
    shrink = (1 - LR) ** steps
    miss = shrink * (THETA - A) + A - B
    value = outer_loss(theta, a, lr, steps, way)
    torch.testing.assert_close(value, scalar(miss**2 / 2), rtol=1e-12, atol=0)
    found = torch.autograd.grad(value, (theta, a, lr), allow_unused=True, materialize_grads=True)
    if way == "first":
        # First order lacks the leading factor.
        torch.testing.assert_close(found[0], scalar(miss), rtol=1e-12, atol=0)
        return
    by_lr = miss * -steps * (1 - LR) ** max(steps - 1, 0) * (THETA - A)
    for got, want in zip(found, (shrink * miss, (1 - shrink) * miss, by_lr), strict=True):
        torch.testing.assert_close(got, scalar(want), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("way", META_GRADIENTS)
def test_quadratic_under_vmap(way: MetaGradient) -> None:
    thetas = torch.linspace(-1, 2, 4, dtype=torch.float64)
    found = vmap(grad(lambda t: outer_loss(t, scalar(A), scalar(LR), 3, way)))(thetas)
    shrink = (1 - LR) ** 3
    miss = shrink * (thetas - A) + A - B
    torch.testing.assert_close(found, miss if way == "first" else shrink * miss)


def test_descend_yields_every_step() -> None:
    path = descend(quadratic, {"phi": scalar(THETA)}, (scalar(A),), LR, 3)
    for k, parameters in enumerate(path, start=1):
        torch.testing.assert_close(parameters["phi"], scalar((1 - LR) ** k * (THETA - A) + A))
    assert k == 3


def weighted_task(n: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and 0/1 weights of one small regression task; the last example is padding."""
    rng = torch.Generator().manual_seed(3)
    x, y = (torch.randn(n, width, generator=rng, dtype=torch.float64) for width in (3, 2))
    return x, y, (torch.arange(n) < n - 1).double()


class Adapted:
    """The loss of a network after descent, as a function of theta, the inputs and lr."""

    def __init__(self, kind: NormKind | None, steps: int = 3, n: int = 7) -> None:
        torch.manual_seed(0)
        self.x, self.y, self.weight = weighted_task(n)
        self.net = nn.Sequential(MLP((3,), (24,), kind), nn.Linear(24, 2)).double()
        self.theta = {name: p.detach() for name, p in self.net.named_parameters()}
        self.steps = steps

    def inner_loss(self, phi: Parameters, context: Context) -> Tensor:
        x, y, weight = context
        out, _ = norm.run(self.net, phi, x, weight)
        return ((out - y).square().mean(dim=1) * weight).sum() / weight.sum()

    def __call__(self, theta: Parameters, x: Tensor, lr: Tensor, way: MetaGradient) -> Tensor:
        support = (x, self.y, self.weight)
        *_, phi = descend(self.inner_loss, theta, support, lr, self.steps, way)
        return self.inner_loss(phi, (x.sin(), self.y, self.weight))


def gradients(adapted: Adapted, way: MetaGradient, by: str) -> tuple[Parameters, Tensor, Tensor]:
    """Gradients by theta, the inputs and lr: by autograd, or for two inputs at once by vmap."""
    x, lr = adapted.x, scalar(0.05)
    of = grad(lambda *inputs: adapted(*inputs, way), argnums=(0, 1, 2))
    if by == "vmap":
        found: tuple[Parameters, Tensor, Tensor] = vmap(of, in_dims=(None, 0, None))(
            adapted.theta, torch.stack([x, -x]), lr
        )
        return found
    parts = []
    for inputs in (x, -x):
        theta = {name: p.clone().requires_grad_() for name, p in adapted.theta.items()}
        leaves = [*theta.values(), inputs.clone().requires_grad_(), lr.clone().requires_grad_()]
        value = adapted(theta, leaves[-2], leaves[-1], way)
        parts.append(torch.autograd.grad(value, leaves))
    *by_theta, by_x, by_lr = (torch.stack(pair) for pair in zip(*parts, strict=True))
    return dict(zip(adapted.theta, by_theta, strict=True)), by_x, by_lr


@pytest.mark.parametrize("by", ["loop", "vmap"])
@pytest.mark.parametrize("kind", [None, *NORMS])
def test_checkpoint_equals_exact(kind: NormKind | None, by: str) -> None:
    adapted = Adapted(kind)
    exact, found = gradients(adapted, "exact", "loop"), gradients(adapted, "checkpoint", by)
    torch.testing.assert_close(found, exact, rtol=1e-10, atol=1e-10)
    first = gradients(adapted, "first", "loop")
    apart = max(float((first[0][k] - exact[0][k]).abs().max()) for k in exact[0])
    assert apart > 1e-4, "the second-order part must be large enough to be seen"


def test_checkpoint_leaves_out_context_that_needs_no_gradient() -> None:
    theta = scalar(THETA).requires_grad_()
    outer = outer_loss(theta, scalar(A), scalar(LR), 2, "checkpoint")
    (found,) = torch.autograd.grad(outer, theta)
    torch.testing.assert_close(found, scalar(0.49 * (0.49 * (THETA - A) + A - B)))


def saved_bytes(way: MetaGradient, steps: int) -> int:
    """Bytes that the autograd graph of an adapted loss keeps alive, each storage counted once."""
    adapted = Adapted("support", steps, n=200)
    theta = {name: p.clone().requires_grad_() for name, p in adapted.theta.items()}
    value = adapted(theta, adapted.x, scalar(0.05), way)
    seen, waiting = set(), [value.grad_fn]
    kept: dict[int, torch.UntypedStorage] = {}
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [parent for parent, _ in node.next_functions]
        saved = [getattr(node, name) for name in dir(node) if name.startswith("_saved_")]
        for t in [*saved, *getattr(node, "saved_tensors", ())]:
            if isinstance(t, Tensor):
                kept[t.untyped_storage().data_ptr()] = t.untyped_storage()
    return sum(storage.nbytes() for storage in kept.values())


def test_memory_of_checkpoint_grows_by_the_parameters_of_a_step_only() -> None:
    parameters = sum(p.nbytes for p in Adapted("support").theta.values())
    grown = (saved_bytes("checkpoint", 20) - saved_bytes("checkpoint", 1)) / 19
    exact = (saved_bytes("exact", 20) - saved_bytes("exact", 1)) / 19
    assert grown <= parameters
    assert exact > 20 * parameters
