"""The gradient of an optimum, whatever way led to it: the implicit function theorem."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad, vjp

from quickstudy.inner.descent import Context, Loss, Parameters, gradient
from quickstudy.nets.second_order import plain_attention, transformed

Operator = Callable[[Tensor], Tensor]


def conjugate_gradient(a: Operator, b: Tensor, start: Tensor, steps: int) -> Tensor:
    """Solves a(x) = b for a symmetric positive definite operator, exactly after `len(b)` steps.

        r_0 = p_0 = b - a(x_0),     s_k = r_k . r_k / p_k . a(p_k),
        x_{k+1} = x_k + s_k p_k,    r_{k+1} = r_k - s_k a(p_k),
        p_{k+1} = r_{k+1} + (r_{k+1} . r_{k+1} / r_k . r_k) p_k

    It stays where it is once a direction has no positive curvature p . a(p): at the solution, or
    where the operator is not positive definite.

    Args:
        a: The operator, from a vector to a vector.
        b: Right-hand side `(d,)`.
        start: x_0 `(d,)`.
        steps: Number of steps, each one product with the operator; one more for the start.

    Source: Hestenes, Stiefel: Methods of Conjugate Gradients for Solving Linear Systems, 1952.
    """
    x = start
    r = p = b - a(x)
    for _ in range(steps):
        ap = a(p)
        curvature = p @ ap
        goes_on = curvature > 0
        s = torch.where(goes_on, (r @ r) / curvature, 0)
        x = x + s * p
        rest = r - s * ap
        p = torch.where(goes_on, rest + (rest @ rest) / (r @ r) * p, p)
        r = rest
    return x


def hessian(
    loss: Loss, parameters: Parameters, context: Context
) -> Callable[[Parameters], Parameters]:
    """The second derivative of the loss by the parameters, as a product with a vector by name.

    The gradient is recorded once, and each product is one pass back through it. Reverse over
    forward would be silently wrong for fused norms.
    """

    if transformed():
        with plain_attention():
            _, pullback = vjp(lambda phi: grad(loss)(phi, context), parameters)  # type: ignore[misc]
        return lambda v: pullback(v)[0]
    phi = {name: p.detach().requires_grad_() for name, p in parameters.items()}
    with torch.enable_grad():
        slope = gradient(loss, phi, context)
    curved = [name for name, g in slope.items() if g.requires_grad]

    def product(v: Parameters) -> Parameters:
        products = torch.autograd.grad(
            [slope[name] for name in curved],
            list(phi.values()),
            [v[name] for name in curved],
            retain_graph=True,
            materialize_grads=True,
        )
        return dict(zip(phi, products, strict=True))

    return product


def implicit_gradient(
    loss: Loss,
    phi: Parameters,
    context: Context,
    by_phi: Parameters,
    lam: float,
    steps: int,
    damping: float = 0.0,
) -> Parameters:
    """The gradient by theta of a function of phi(theta), where phi(theta) is a proximal optimum.

        phi(theta) = argmin over phi of loss(phi, context) + lam / 2 ||phi - theta||^2
        g = ((1 + damping) I + H / lam)^{-1} by_phi,    H = the loss's Hessian at phi

    by conjugate gradient from `by_phi / (1 + damping)`, the solution without curvature. With 0
    steps that is the result: the first-order gradient.

    Args:
        loss: A scalar of the parameters and the context.
        phi: The optimum, by name.
        context: All other tensors the loss depends on.
        by_phi: Gradient of the function at phi, by name.
        lam: Strength of the proximal term.
        steps: Steps of conjugate gradient, each one Hessian-vector product.
        damping: Added to the diagonal: keeps the operator positive where the Hessian is not.

    Source: Rajeswaran, Finn, Kakade, Levine: Meta-Learning with Implicit Gradients, NeurIPS 2019,
    lemma 1 and algorithm 2.
    """
    sizes = [p.numel() for p in phi.values()]

    def flat(d: Parameters) -> Tensor:
        return torch.cat([d[name].reshape(-1) for name in phi])

    def by_name(v: Tensor) -> Parameters:
        parts = torch.split(v, sizes)
        return {
            name: part.view(p.shape) for (name, p), part in zip(phi.items(), parts, strict=True)
        }

    curvature = hessian(loss, phi, context)

    def operator(v: Tensor) -> Tensor:
        return (1 + damping) * v + flat(curvature(by_name(v))) / lam

    b = flat(by_phi)
    return by_name(conjugate_gradient(operator, b, b / (1 + damping), steps))
