"""Gradient descent whose result can be differentiated with respect to where it started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import grad, jvp

Parameters = dict[str, Tensor]
Context = tuple[Tensor, ...]
Loss = Callable[[Parameters, Context], Tensor]
MetaGradient = Literal["exact", "mixed", "first"]


def descend(
    loss: Loss,
    parameters: Parameters,
    context: Context,
    lr: float | Tensor,
    steps: int,
    meta_gradient: MetaGradient = "exact",
) -> Iterator[Parameters]:
    """Yields the parameters after each step of gradient descent.

        phi_0 = theta,    phi_{k+1} = phi_k - lr * grad loss(phi_k, context)

    Args:
        loss: A scalar of the parameters and the context.
        parameters: theta, by name.
        context: All other tensors the loss depends on; with `"mixed"`, the loss may depend on no
            tensor that needs a gradient and stands neither here nor in the parameters.
        lr: Step size.
        steps: Number of steps.
        meta_gradient: How the result depends on theta, the context and lr when differentiated:
            `"exact"` reverses over the reverse pass and keeps every step's activations;
            `"mixed"` gives the same gradient from Hessian-vector products taken forward over
            reverse, one step at a time, and keeps only the parameters of each step;
            `"first"` treats the steps' gradients as constants.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning, ICML 2017, eq. 1; Kemaev et al.:
    Scalable Meta-Learning via Mixed-Mode Differentiation, 2025 (`"mixed"`).
    """
    names = list(parameters)
    for _ in range(steps):
        if meta_gradient == "mixed":
            like = next(iter(parameters.values()))
            rate = torch.as_tensor(lr, dtype=like.dtype, device=like.device)
            flat = _MixedStep.apply(  # type: ignore[no-untyped-call]
                loss, names, rate, *parameters.values(), *context
            )
            parameters = dict(zip(names, flat, strict=True))
        else:
            slope = grad(loss)(parameters, context)
            if meta_gradient == "first":
                slope = {name: g.detach() for name, g in slope.items()}
            parameters = {name: p - lr * slope[name] for name, p in parameters.items()}
        yield parameters


class _MixedStep(torch.autograd.Function):
    """One step of descent; its backward pass is a Hessian-vector product, forward over reverse.

    With g = grad loss(phi, c) and an incoming v:
        d/dphi = v - lr * (d^2 loss / dphi^2) v,    d/dc = -lr * (d^2 loss / dc dphi) v,
        d/dlr = -v . g.
    Both second derivatives are one directional derivative of the gradient in (phi, c) along (v, 0).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(loss: Loss, names: list[str], lr: Tensor, *flat: Tensor) -> tuple[Tensor, ...]:
        phi, context = dict(zip(names, flat, strict=False)), flat[len(names) :]
        slope = grad(loss)(phi, context)
        return tuple(p - lr * slope[name] for name, p in phi.items())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.loss, ctx.names = inputs[:2]
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple[Tensor | None, ...]:
        # Forward mode refuses expanded tensors.
        lr, *flat = (t.contiguous() for t in ctx.saved_tensors)
        n = len(ctx.names)
        needed = ctx.needs_input_grad[3 + n :]

        def gradient(*inputs: Tensor) -> tuple[Tensor, ...]:
            """The gradient of the loss in phi and in those parts of the context that need it."""

            def of(phi: tuple[Tensor, ...], free: tuple[Tensor, ...]) -> Tensor:
                parts = iter(free)
                context = tuple(
                    next(parts) if need else constant
                    for need, constant in zip(needed, flat[n:], strict=True)
                )
                return ctx.loss(dict(zip(ctx.names, phi, strict=True)), context)  # type: ignore[no-any-return]

            by_phi, by_context = grad(of, argnums=(0, 1))(inputs[:n], inputs[n:])
            return (*by_phi, *by_context)

        free = [c for c, need in zip(flat[n:], needed, strict=True) if need]
        tangents = (*(vi.contiguous() for vi in v), *(torch.zeros_like(c) for c in free))
        slope, second = jvp(gradient, (*flat[:n], *free), tangents)  # type: ignore[misc]
        d_lr = -sum((vi * gi).sum() for vi, gi in zip(v, slope[:n], strict=True))
        d_phi = (vi - lr * hi for vi, hi in zip(v, second[:n], strict=True))
        d_free = iter(second[n:])
        d_context = (-lr * next(d_free) if need else None for need in needed)
        return None, None, torch.as_tensor(d_lr), *d_phi, *d_context
