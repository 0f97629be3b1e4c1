"""Gradient descent whose result can be differentiated with respect to where it started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor
from torch.func import grad_and_value, vjp

from quickstudy.nets.second_order import plain_attention, transformed

Parameters = dict[str, Tensor]
Context = tuple[Tensor, ...]
Loss = Callable[[Parameters, Context], Tensor]
Rate = Callable[[str, int], float | Tensor]
MetaGradient = Literal["exact", "checkpoint", "first"]


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
        context: All other tensors the loss depends on; with `"checkpoint"`, the loss may depend on
            no tensor that needs a gradient and stands neither here nor in the parameters.
        lr: Step size; or a function from a parameter's name and the step, from 0 on, to its step
            size, a number or a tensor that broadcasts to the parameter.
        steps: Number of steps.
        meta_gradient: How the result depends on theta, the context and lr when differentiated:
            `"exact"` reverses over the reverse pass and keeps every step's activations;
            `"checkpoint"` gives the same gradient, keeps only the parameters of each step, and
            computes a step again when its turn comes;
            `"first"` treats the steps' gradients as constants.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning, ICML 2017, eq. 1; Chen et al.:
    Training Deep Nets with Sublinear Memory Cost, 2016 (`"checkpoint"`, here of whole steps).
    """
    names = list(parameters)
    for step in range(steps):
        rates = {name: lr(name, step) if callable(lr) else lr for name in names}
        if meta_gradient == "checkpoint":
            tensors = (
                torch.as_tensor(rates[name], dtype=p.dtype, device=p.device)
                for name, p in parameters.items()
            )
            flat = _CheckpointedStep.apply(  # type: ignore[no-untyped-call]
                loss, names, *tensors, *parameters.values(), *context
            )
            parameters = dict(zip(names, flat, strict=True))
        else:
            slope = gradient(loss, parameters, context, constant=meta_gradient == "first")
            parameters = {name: p - rates[name] * slope[name] for name, p in parameters.items()}
        yield parameters


def gradient(
    loss: Loss, parameters: Parameters, context: Context, constant: bool = False
) -> Parameters:
    """The gradient of the loss by the parameters.

    Args:
        constant: Whether it is a constant to derivatives that are taken later.
    """
    return value_and_gradient(loss, parameters, context, constant)[1]


def value_and_gradient(
    loss: Loss, parameters: Parameters, context: Context, constant: bool = False
) -> tuple[Tensor, Parameters]:
    """The loss and its gradient by the parameters; the arguments are those of `gradient`."""
    if transformed():
        if not constant:
            with plain_attention():
                slope, value = grad_and_value(loss)(parameters, context)
            return value, slope
        value, pullback = vjp(lambda p: loss(p, context), parameters)[:2]
        with torch.no_grad():
            slope = pullback(torch.ones_like(value), retain_graph=False)[0]
        return value.detach(), {name: g.detach() for name, g in slope.items()}
    # Outside the transforms of torch.func plain autograd does the same with less work in Python.
    create_graph = torch.is_grad_enabled() and not constant
    with torch.enable_grad(), plain_attention(create_graph):
        free = {name: _leaf(p, create_graph) for name, p in parameters.items()}
        value = loss(free, context)
        gradients = torch.autograd.grad(
            value, list(free.values()), create_graph=create_graph, materialize_grads=True
        )
    if create_graph:
        return value, dict(zip(free, gradients, strict=True))
    return value.detach(), {name: g.detach() for name, g in zip(free, gradients, strict=True)}


def _leaf(t: Tensor, create_graph: bool) -> Tensor:
    """A tensor to differentiate by.

    A view, so that one parameter which depends on another is held fixed as the other moves.
    """
    return t.view_as(t) if create_graph and t.requires_grad else t.detach().requires_grad_()


class _CheckpointedStep(torch.autograd.Function):
    """One step of descent; its backward pass computes the step again and goes back through it."""

    generate_vmap_rule = True

    @staticmethod
    def forward(loss: Loss, names: list[str], *flat: Tensor) -> tuple[Tensor, ...]:
        return _step(loss, names, flat)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.loss, ctx.names = inputs[:2]
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    def backward(ctx: Any, *v: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[2:]
        # Views: where a vjp has ended, what it kept are wrappers that another does not understand.
        saved, v = (tuple(t.view_as(t) for t in tensors) for tensors in (ctx.saved_tensors, v))
        free = [t for t, need in zip(saved, needed, strict=True) if need]

        def step(*free: Tensor) -> tuple[Tensor, ...]:
            parts = iter(free)
            flat = (next(parts) if need else t for t, need in zip(saved, needed, strict=True))
            return _step(ctx.loss, ctx.names, tuple(flat))

        if transformed():
            gradients = iter(vjp(step, *free)[1](v))
        else:
            create_graph = torch.is_grad_enabled()
            with torch.enable_grad():
                free = [_leaf(t, create_graph) for t in free]
                gradients = iter(
                    torch.autograd.grad(
                        step(*free), free, v, create_graph=create_graph, materialize_grads=True
                    )
                )
        return None, None, *(next(gradients) if need else None for need in needed)


def _step(loss: Loss, names: list[str], flat: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The parameters after one step, from the step sizes, the parameters and the context."""
    n = len(names)
    rates, phi, context = flat[:n], dict(zip(names, flat[n : 2 * n], strict=True)), flat[2 * n :]
    slope = gradient(loss, phi, context)
    return tuple(p - lr * slope[name] for lr, (name, p) in zip(rates, phi.items(), strict=True))
