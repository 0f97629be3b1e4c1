"""MAML with implicit gradients."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import grad_and_value

from quickstudy.errors import UserError, at_least
from quickstudy.inner.descent import Context, Parameters, descend
from quickstudy.inner.implicit import implicit_gradient
from quickstudy.learners.gradient_based import GradientBased, trainable_names
from quickstudy.nets.passing import padding
from quickstudy.task import Examples, Kind, Task


class ImplicitMAML(GradientBased):
    """MAML whose meta-gradient depends on where the inner loop ends, not on how it got there.

    adapt:    phi = argmin of L(net(phi, support)) + lam / 2 ||phi - theta||^2, by gradient descent
    predict:  net(phi, x)
    meta-gradient: ((1 + cg_damping) I + H / lam)^{-1} grad L(net(phi, query)),  H = the Hessian of
    L(net(phi, support)), by conjugate gradient

    Memory does not grow with the number of inner steps. Without damping and at the optimum this is
    the derivative of the query loss; short of it, an estimate.

    Args:
        net: As for `MAML`.
        kind: What the targets are.
        lam: Strength of the pull towards theta, above 0.
        inner_lr: Step size of the inner loop, below 2 / (lam + the largest eigenvalue of H).
        inner_steps: Gradient steps towards the optimum in meta-training.
        adapt_steps: Steps when the learner is in eval mode; as in meta-training where omitted.
        adapt_lam: Strength of the pull in eval mode; as in meta-training where omitted.
        cg_steps: Steps of conjugate gradient; 0 for the first-order gradient.
        cg_damping: Added to the diagonal: keeps the operator positive where H is not.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: label-equivariant with a `SharedLinear` head only.

    Differs from the paper: nothing in the equations. The published code takes its inner steps
    without the pull and then one step along the pull alone, which ends at no optimum of the inner
    problem, so the implicit gradient there is that of another function; it adds 10 to lam in the
    conjugate gradient, which it starts from zero; and it meta-tests with a lam of 0.

    Raises:
        UserError: As `MAML`; or lam is not above 0.

    Source: Rajeswaran, Finn, Kakade, Levine: Meta-Learning with Implicit Gradients, NeurIPS 2019,
    algorithms 1 and 2.

    Example:
        >>> learner = qs.build({"name": "ImplicitMAML", "inner_steps": 3}, tasks)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        lam: float = 2.0,
        inner_lr: float = 0.1,
        inner_steps: int = 16,
        adapt_steps: int | None = None,
        adapt_lam: float | None = None,
        cg_steps: int = 5,
        cg_damping: float = 1.0,
    ) -> None:
        adapted = trainable_names(net)
        super().__init__(net, kind, adapted, inner_lr, inner_steps, adapt_steps, "first")
        if not lam > 0:
            raise UserError(
                f"ImplicitMAML: lam must be above 0, or theta has no influence on the optimum; "
                f"received {lam}; give a positive number, and adapt_lam=0 to adapt without a pull."
            )
        at_least("ImplicitMAML", 0, adapt_lam=adapt_lam, cg_steps=cg_steps, cg_damping=cg_damping)
        self.lam, self.adapt_lam = lam, lam if adapt_lam is None else adapt_lam
        self.cg_steps, self.cg_damping = cg_steps, cg_damping

    def task_loss(self, task: Task) -> Tensor:
        if not torch.is_grad_enabled():
            return super().task_loss(task)
        support, query = task
        phi = self.adapt(support).parameters
        embedded, seen = self._embed(support)
        inner_loss, theta, context = self._problem(support, embedded)

        def query_loss(phi: Parameters) -> Tensor:
            state = self._state(phi, embedded, seen)
            with padding(query.weight):
                return self.loss(self.predict(state, query.x), query)

        by_phi, value = grad_and_value(query_loss)(phi)
        g = implicit_gradient(
            inner_loss, phi, context, by_phi, self.lam, self.cg_steps, self.cg_damping
        )
        # Zero, with gradient g by theta.
        carrier = sum(((p - p.detach()) * g[name]).sum() for name, p in theta.items())
        return value + carrier

    def _descent(self, support: Examples, embedded: Examples, steps: int) -> Iterator[Parameters]:
        inner_loss, attached, context = self._problem(support, embedded)
        theta = {name: p.detach() for name, p in attached.items()}
        lam = self.lam if self.training else self.adapt_lam

        def proximal_loss(phi: Parameters, context: Context) -> Tensor:
            distance = sum((phi[name] - p).square().sum() for name, p in theta.items())
            return inner_loss(phi, context) + lam / 2 * distance

        yield theta
        yield from descend(proximal_loss, theta, context, self.rate, steps, self.meta_gradient)
