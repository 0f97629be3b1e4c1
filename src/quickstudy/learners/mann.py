"""Memory-augmented neural network: an LSTM with an external memory."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.learner import Tags
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.learners.snail import widened
from quickstudy.nets import width
from quickstudy.nets.head import check_features
from quickstudy.nets.passing import Statistics
from quickstudy.nets.recurrent import LSTMCell
from quickstudy.task import Examples, Kind, Task, class_present, task_outputs, together


class Memory(NamedTuple):
    """The memory that one step hands to the next.

    Shapes: h, c (hidden,) of the controller; M (rows, columns); w_u (rows,), how much each row was
    used of late; w_r (heads, rows), where was read, and r (heads, columns), what; y (n_out,), the
    last target.
    """

    h: Tensor
    c: Tensor
    M: Tensor
    w_u: Tensor
    w_r: Tensor
    r: Tensor
    y: Tensor


class MANNState(NamedTuple):
    """The `Memory` after the support, by name; present (way,), 0 for a class of padding only."""

    memory: dict[str, Tensor]
    present: Tensor
    statistics: Statistics


class MANN(EmbeddingLearner[MANNState]):
    """Reads examples one by one, each with the target of the one before, and keeps a memory.

    adapt, for each support example x, where a prime means "of the step before":
        h, c    = LSTM([f(x), y', r', h'], c')
        k_j     = tanh(W_j h + b_j),  a_j = V_j h + d_j          for each head j
        w^r_j   = softmax over rows i of cos(k_j, M'_i),  r_j = sum over i of w^r_ji M'_i
        w^lu_j  = 1 in the row of the j-th smallest w^u', else 0
        w^w_j   = sigmoid(a_j) w^r'_j + (1 - sigmoid(a_j)) w^lu_j
        M_i     = (0 where a w^lu_ji is 1, else M'_i) + sum over j of w^w_ji k_j
        w^u     = gamma w^u' + sum over j of (w^r_j + w^w_j)
    predict: the same up to r for one more example;  logits(x) = U [h, r] + e

    Args:
        net: The embedding f, any module from inputs to features.
        n_out: Largest number of ways, or number of regression outputs.
        kind: What the targets are.
        memory: Rows and columns of M.
        read_heads: Number of heads, at most that of the rows.
        hidden: Width of the controller.
        gamma: How much of the usage stays from step to step.

    Shapes:
        state.memory["M"] (rows, columns), prediction (query, way) or (query, outputs)

    Properties: the order of the support matters; not label-equivariant.

    Differs from the paper: its equations are for one head; here each of several has a least used
    row of its own, set to zero before it writes. The controller sees features, not pixels. A query
    follows the support alone; the meta-training loss is the paper's, that of every step of support
    and query as one sequence. Both are embedded in one pass in it, unless the norm is `"support"`.

    Raises:
        UserError: More heads than rows; or a task of more classes than `n_out`.

    Source: Santoro, Bartunov, Botvinick, Wierstra, Lillicrap: Meta-Learning with Memory-Augmented
    Neural Networks, ICML 2016, section 3.

    Example:
        >>> learner = MANN(qs.nets.MLP((64,)), n_out=2)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(order_matters=True, label_equivariant=False)

    def __init__(
        self,
        net: nn.Module,
        n_out: int,
        kind: Kind = "classification",
        memory: tuple[int, int] = (128, 40),
        read_heads: int = 4,
        hidden: int = 200,
        gamma: float = 0.99,
    ) -> None:
        super().__init__(net, kind)
        if not 1 <= read_heads <= memory[0]:
            raise UserError(
                "MANN: every head needs a row of the memory to write to; received "
                f"read_heads={read_heads} and a memory of {memory[0]} rows; change one of them."
            )
        at_least("MANN", 1, hidden=hidden, memory_width=memory[1])
        if not 0 <= gamma <= 1:
            raise UserError(
                f"MANN: gamma, the part of its use that a row keeps, must be from 0 to 1; received "
                f"{gamma}; correct it."
            )
        self.n_out = n_out
        self.memory, self.read_heads, self.hidden, self.gamma = memory, read_heads, hidden, gamma
        n_read = read_heads * memory[1]
        self.controller = LSTMCell(width(net) + n_out + n_read + hidden, hidden)
        self.heads = nn.Linear(hidden, n_read + read_heads)
        self.out = nn.Linear(hidden + n_read, n_out)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> MANNState:
        memory, _ = self._through(z, support.y, support.weight)
        return MANNState(memory._asdict(), class_present(support), statistics)

    def answer(self, state: MANNState, z: Tensor) -> Tensor:
        memory = Memory(**state.memory)
        h, _ = self._control(memory, z)
        *_, r = self._look_up(memory.M, h)
        return task_outputs(self.out(torch.cat([h, r.flatten(1)], dim=1)), state.present, self.kind)

    def support_attention(self, state: MANNState, support: Examples, x: Tensor) -> Tensor:
        """How much of what a query reads was written at the step of each example.

        At that step the example is seen with the target of the one before it.
        """
        z, z_support = self.embedded(state, x), self.embedded(state, support.x)
        y, now = widened(support.y, self.n_out, "MANN"), self.blank(z)
        written = z.new_zeros(self.memory[0], len(y))  # the share of each row from each step
        for t, real in enumerate(support.weight > 0):
            h, _ = self._control(now, z_support[t])
            _, a, *_ = self._look_up(now.M, h)
            w_lu, w_w = self._write(now, a)
            remaining = written * (1 - w_lu.sum(dim=0))[:, None]
            remaining[:, t] += w_w.sum(dim=0)
            written = torch.where(real, remaining, written)
            after = self.step(now, z_support[t], y[t])
            now = Memory(*(torch.where(real, a, b) for a, b in zip(after, now, strict=True)))
        h, _ = self._control(now, z)
        *_, w_r, _ = self._look_up(now.M, h)
        shares = w_r @ written
        return (shares / shares.sum(dim=2, keepdim=True))[:, None]

    def task_loss(self, task: Task) -> Tensor:
        """The mean loss over all steps of the sequence that support and query make together."""
        return self.loss(self.sequence_logits(task), together(task))

    def sequence_logits(self, task: Task) -> Tensor:
        """The prediction at each step of support and query as one sequence `(steps, way)`."""
        _, y, weight = together(task)
        _, out = self._through(torch.cat(self.embed_together(task)), y, weight)
        return task_outputs(out, class_present(task.support), self.kind)

    def blank(self, like: Tensor) -> Memory:
        """The memory before the first step; M is not 0, as the cosine with 0 is undefined."""
        (rows, columns), heads = self.memory, self.read_heads
        return Memory(
            h=like.new_zeros(self.hidden),
            c=like.new_zeros(self.hidden),
            M=like.new_full((rows, columns), 1e-6),
            w_u=like.new_zeros(rows),
            w_r=like.new_zeros(heads, rows),
            r=like.new_zeros(heads, columns),
            y=like.new_zeros(self.n_out),
        )

    def step(self, before: Memory, z: Tensor, y: Tensor) -> Memory:
        """The memory after an example of embedding z (d,) and target y (n_out,)."""
        h, c = self._control(before, z)
        k, a, w_r, r = self._look_up(before.M, h)
        w_lu, w_w = self._write(before, a)
        M = before.M * (1 - w_lu.sum(dim=0))[:, None] + w_w.T @ k
        # Only the order of the usage counts, which has no gradient.
        w_u = self.gamma * before.w_u + (w_r + w_w).detach().sum(dim=0)
        return Memory(h, c, M, w_u, w_r, r, y)

    def _through(self, z: Tensor, y: Tensor, weight: Tensor) -> tuple[Memory, Tensor]:
        """The memory after a sequence, and the output at each of its steps (steps, n_out)."""
        check_features(z)
        y = widened(y, self.n_out, "MANN")
        now, read = self.blank(z), []
        for z_t, y_t, real in zip(z, y, weight > 0, strict=True):
            after = self.step(now, z_t, y_t)
            read.append(torch.cat([after.h, after.r.flatten()]))
            now = Memory(*(torch.where(real, a, b) for a, b in zip(after, now, strict=True)))
        return now, self.out(torch.stack(read))

    def _control(self, before: Memory, z: Tensor) -> tuple[Tensor, Tensor]:
        """h and c after an example (d,), or after each of several alone (query, d)."""
        previous = torch.cat([before.y, before.r.flatten(), before.h]).expand(*z.shape[:-1], -1)
        h, c = self.controller(torch.cat([z, previous], dim=-1), before.c)
        return h, c

    def _write(self, before: Memory, a: Tensor) -> tuple[Tensor, Tensor]:
        """w^lu and w^w of each head (heads, rows)."""
        least = torch.argsort(before.w_u, stable=True)[: self.read_heads]
        w_lu = (least[:, None] == torch.arange(self.memory[0], device=a.device)).to(a)
        return w_lu, torch.lerp(w_lu, before.w_r, torch.sigmoid(a))

    def _look_up(self, M: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """k, a, w^r and r of each head, (..., heads, n), from h (..., hidden)."""
        each = (self.read_heads, M.shape[1] + 1)
        k, a = self.heads(h).unflatten(-1, each).split([M.shape[1], 1], dim=-1)
        k = torch.tanh(k)
        lengths = k.norm(dim=-1, keepdim=True) * M.norm(dim=-1)
        w_r = torch.softmax(k @ M.T / (lengths + 1e-8), dim=-1)
        return k, a, w_r, w_r @ M
