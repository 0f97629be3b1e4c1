"""The optimizers that are used: what learned rules are measured against."""

from __future__ import annotations

import torch
from torch import Tensor

from quickstudy.rules.rule import CoordinateStep, CoordinateWise, RuleState


class SGD(CoordinateWise):
    """Gradient descent, with momentum or Nesterov's.

        m_k = momentum m_{k-1} + g_k
        theta_{k+1} = theta_k - lr m_k                        (or g_k + momentum m_k: Nesterov)

    Args:
        lr: Step size.
        momentum: Share of the last step that is kept.
        nesterov: Whether the momentum is Nesterov's, in the form of torch.optim.

    Source: Sutskever et al.: On the Importance of Initialization and Momentum in Deep Learning,
    ICML 2013.

    Example:
        >>> rule, theta = SGD(lr=0.1, momentum=0.9), {"w": torch.ones(2)}
        >>> gradient, loss = {"w": torch.ones(2)}, torch.tensor(1.0)
        >>> theta, state = rule.update(rule.start(theta), theta, gradient, loss)
        >>> theta["w"]
        tensor([0.9000, 0.9000])
    """

    lr: float

    def __init__(self, lr: float = 0.01, momentum: float = 0.0, nesterov: bool = False) -> None:
        super().__init__()
        self.lr, self.momentum, self.nesterov = lr, momentum, nesterov

    def remember(self, theta: Tensor) -> RuleState:
        return {"m": torch.zeros_like(theta)} if self.momentum else {}

    def step(self, state: RuleState, theta: Tensor, g: Tensor, loss: Tensor) -> CoordinateStep:
        if not self.momentum:
            return theta - self.lr * g, state
        m = self.momentum * state["m"] + g
        direction = g + self.momentum * m if self.nesterov else m
        return theta - self.lr * direction, {"m": m}


class RMSprop(CoordinateWise):
    """Gradients divided by their root mean square.

        v_k = beta v_{k-1} + (1 - beta) g_k^2,   theta_{k+1} = theta_k - lr g_k / (sqrt(v_k) + eps)

    Args:
        lr: Step size.
        beta: Share of the mean square that is kept.
        eps: Added to its root.

    Source: Tieleman, Hinton: Lecture 6.5, Neural Networks for Machine Learning, 2012.

    Example:
        >>> rule, theta = RMSprop(lr=0.05), {"w": torch.ones(2)}
        >>> gradient, loss = {"w": torch.ones(2)}, torch.tensor(1.0)
        >>> theta, state = rule.update(rule.start(theta), theta, gradient, loss)
        >>> theta["w"]
        tensor([0.5000, 0.5000])
    """

    lr: float

    def __init__(self, lr: float = 0.01, beta: float = 0.99, eps: float = 1e-8) -> None:
        super().__init__()
        self.lr, self.beta, self.eps = lr, beta, eps

    def remember(self, theta: Tensor) -> RuleState:
        return {"v": torch.zeros_like(theta)}

    def step(self, state: RuleState, theta: Tensor, g: Tensor, loss: Tensor) -> CoordinateStep:
        v = self.beta * state["v"] + (1 - self.beta) * g.square()
        return theta - self.lr * g / (v.sqrt() + self.eps), {"v": v}


class Adam(CoordinateWise):
    """Adam.

        m_k = beta1 m_{k-1} + (1 - beta1) g_k,   v_k = beta2 v_{k-1} + (1 - beta2) g_k^2
        theta_{k+1} = theta_k - lr (m_k / (1 - beta1^k)) / (sqrt(v_k / (1 - beta2^k)) + eps)

    Args:
        lr: Step size.
        beta1: Share of the mean that is kept.
        beta2: Share of the mean square that is kept.
        eps: Added to the root of the mean square.

    Source: Kingma, Ba: Adam: A Method for Stochastic Optimization, ICLR 2015, algorithm 1.

    Example:
        >>> rule, theta = Adam(lr=0.1), {"w": torch.ones(2)}
        >>> gradient, loss = {"w": torch.ones(2)}, torch.tensor(1.0)
        >>> theta, state = rule.update(rule.start(theta), theta, gradient, loss)
        >>> theta["w"]
        tensor([0.9000, 0.9000])
    """

    lr: float

    def __init__(
        self, lr: float = 0.001, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8
    ) -> None:
        super().__init__()
        self.lr, self.beta1, self.beta2, self.eps = lr, beta1, beta2, eps

    def remember(self, theta: Tensor) -> RuleState:
        zero = torch.zeros_like(theta)
        return {"m": zero, "v": zero, "k": theta.new_zeros(())}

    def step(self, state: RuleState, theta: Tensor, g: Tensor, loss: Tensor) -> CoordinateStep:
        k = state["k"] + 1
        m = self.beta1 * state["m"] + (1 - self.beta1) * g
        v = self.beta2 * state["v"] + (1 - self.beta2) * g.square()
        mean, square = m / (1 - self.beta1**k), v / (1 - self.beta2**k)
        step = self.lr * mean / (square.sqrt() + self.eps)
        return theta - step, {"m": m, "v": v, "k": k}
