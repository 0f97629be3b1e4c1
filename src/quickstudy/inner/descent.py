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
Rate = Callable[[str, int], float | Tensor]
MetaGradient = Literal["exact", "mixed", "first"]


def descend(
    loss: Loss,
    parameters: Parameters,
    context: Context,
    lr: float | Tensor | Rate,
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
        lr: Step size; or a function from a parameter's name and the step, from 0 on, to its step
            size, a number or a tensor that broadcasts to the parameter.
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
    for step in range(steps):
        rates = {name: lr(name, step) if callable(lr) else lr for name in names}
        if meta_gradient == "mixed":
            tensors = (
                torch.as_tensor(rates[name], dtype=p.dtype, device=p.device)
                for name, p in parameters.items()
            )
            flat = _MixedStep.apply(  # type: ignore[no-untyped-call]
                loss, names, *tensors, *parameters.values(), *context
            )
            parameters = dict(zip(names, flat, strict=True))
        else:
            slope = grad(loss)(parameters, context)
            if meta_gradient == "first":
                slope = {name: g.detach() for name, g in slope.items()}
            parameters = {name: p - rates[name] * slope[name] for name, p in parameters.items()}
        yield parameters


class _MixedStep(torch.autograd.Function):
    """One step of descent; its backward pass is a Hessian-vector product, forward over reverse.

    With g = grad loss(phi, c) and an incoming v:
        d/dphi = v - (d^2 loss / dphi^2) (lr * v),    d/dc = -(d^2 loss / dc dphi) (lr * v),
        d/dlr = -v * g.
    Both second derivatives are one directional derivative of the gradient in (phi, c) along
    (lr * v, 0).
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(loss: Loss, names: list[str], *flat: Tensor) -> tuple[Tensor, ...]:
        n = len(names)
        rates, phi, context = (
            flat[:n],
            dict(zip(names, flat[n : 2 * n], strict=True)),
            flat[2 * n :],
        )
        slope = grad(loss)(phi, context)
        return tuple(p - lr * slope[name] for lr, (name, p) in zip(rates, phi.items(), strict=True))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.loss, ctx.names = inputs[:2]
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple[Tensor | None, ...]:
        n = len(ctx.names)
        # Forward mode refuses expanded tensors.
        rates, flat = ctx.saved_tensors[:n], [t.contiguous() for t in ctx.saved_tensors[n:]]
        needed = ctx.needs_input_grad[2 + 2 * n :]

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
        along = [(lr * vi).contiguous() for lr, vi in zip(rates, v, strict=True)]
        tangents = (*along, *(torch.zeros_like(c) for c in free))
        slope, second = jvp(gradient, (*flat[:n], *free), tangents)  # type: ignore[misc]
        d_lr = (
            -(vi * g).sum_to_size(lr.shape) for lr, vi, g in zip(rates, v, slope[:n], strict=True)
        )
        d_phi = (vi - h for vi, h in zip(v, second[:n], strict=True))
        d_free = iter(second[n:])
        d_context = (-next(d_free) if need else None for need in needed)
        return None, None, *d_lr, *d_phi, *d_context
