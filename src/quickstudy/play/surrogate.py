"""Surrogate objectives: their derivatives estimate those of a policy's expected return.

Each is a mean over the steps of weight 1, to be maximised (`kl_to_behaviour` is a penalty). Tensors
are `(episodes, steps)`: `log_probability` of the actions under the policy to be differentiated,
`behaviour` under the behaviour policy, which drew them, the advantages, which are constants, and
weights.

A surrogate that will be differentiated twice must not be `log_probability * advantage`. Its
gradient is right; its second derivative ignores that the distribution of the actions depends on the
parameters: with J = E[R], d^2 J = E[R (d^2 log p + d log p d log p^T)], and of this it keeps the
first term only. A meta-gradient through it is wrong, which the return need not show.
"""

from __future__ import annotations

from torch import Tensor


def ratio(log_probability: Tensor, behaviour: Tensor, advantage: Tensor, weight: Tensor) -> Tensor:
    """The surrogate of likelihood ratios.

        mean_t  pi(a_t | s_t) / behaviour(a_t | s_t)  A_t

    At the policy that played, the first derivative is the policy gradient without bias. The second
    is `A_t (d^2 log pi_t + d log pi_t d log pi_t^T)`, without the products of different steps: less
    variance than `dice`, and a bias, which is small where early actions hardly decide which states
    come later, and large where they do (docs/control.md has both).

    Source: Rothfuss, Lee, Clavera, Asfour, Abbeel: ProMP, ICLR 2019, section 5 (the
    low-variance-curvature estimator).
    """
    r = _log_ratio(log_probability, behaviour, weight).exp()
    return _mean(r * advantage, weight)


def dice(log_probability: Tensor, advantage: Tensor, weight: Tensor) -> Tensor:
    """The infinitely differentiable estimator, with advantages for rewards.

        mean_t  (box(W_t) - box(W_{t-1}))  A_t
        W_t = sum_{t' <= t} log pi(a_t' | s_t'),  box(W) = exp(W - constant W),  box(W_{-1}) = 1

    Its derivatives of every order estimate those of the expected return without bias, where A_t is
    the return from step t on less a baseline of what came before a_t; for a discounted return with
    `discount^t A_t` in its place. Its variance grows with the number of steps.

    Source: Foerster, Farquhar, Al-Shedivat, Rocktäschel, Xing, Whiteson: DiCE: The Infinitely
    Differentiable Monte Carlo Estimator, ICML 2018, eq. 5; Farquhar, Whiteson, Foerster: Loaded
    DiCE, NeurIPS 2019 (advantages).
    """
    steps = log_probability * weight
    W = steps.cumsum(dim=1)
    before = W - steps
    gained = (W - W.detach()).exp() - (before - before.detach()).exp()
    return _mean(gained * advantage, weight)


def clipped(
    log_probability: Tensor,
    behaviour: Tensor,
    advantage: Tensor,
    weight: Tensor,
    clip: float = 0.3,
) -> Tensor:
    """The surrogate of clipped likelihood ratios.

        mean_t  min(r_t A_t, clamp(r_t, 1 - clip, 1 + clip) A_t),   r_t = pi / behaviour

    Where the ratio has gone past the bound in the direction that the advantage asks for, a step
    gives no gradient any more; elsewhere it is that of `ratio`. For first derivatives only.

    Source: Schulman, Wolski, Dhariwal, Radford, Klimov: Proximal Policy Optimization Algorithms,
    2017, eq. 7.
    """
    r = _log_ratio(log_probability, behaviour, weight).exp()
    return _mean((r * advantage).minimum(r.clamp(1 - clip, 1 + clip) * advantage), weight)


def kl_to_behaviour(log_probability: Tensor, behaviour: Tensor, weight: Tensor) -> Tensor:
    """KL(behaviour || pi), estimated by the actions that the behaviour drew.

        mean_t  r_t - 1 - log r_t,   r_t = pi / behaviour

    No term is negative, and the mean has no bias. At the policy that played, value and gradient are
    0 and the second derivative is `r_t d log pi_t d log pi_t^T` on average: the Fisher information.

    Source: Schulman: Approximating KL Divergence, 2020 (http://joschu.net/blog/kl-approx.html).
    """
    log_r = _log_ratio(log_probability, behaviour, weight)
    return _mean(log_r.exp() - 1 - log_r, weight)


def _log_ratio(log_probability: Tensor, behaviour: Tensor, weight: Tensor) -> Tensor:
    """0 where there is only padding, so that nothing overflows there."""
    return (log_probability - behaviour) * weight


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)
