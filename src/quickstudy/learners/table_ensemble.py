"""The mean of a transformer over cells and a logistic regression, for rows of a table."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.learner import AnyLearner, Learner, Tags
from quickstudy.learners.linear_head import LinearHeadState
from quickstudy.learners.linear_probe import LinearProbe
from quickstudy.learners.table_in_context import TableInContext, TableInContextState
from quickstudy.task import Examples, Task, mask_absent


class TableEnsembleState(NamedTuple):
    """The states of both members, and which classes there are.

    Shapes: context, of `TableInContextState`; linear, of `LinearHeadState`; present (way,), 0 for
    padding.
    """

    context: dict[str, Any]
    linear: dict[str, Any]
    present: Tensor


class TableEnsemble(Learner[TableEnsembleState]):
    """Averages the probabilities of a transformer over cells and of a logistic regression.

    adapt:    both learn from the support, each by itself
    predict:  log p = log (p_transformer + p_regression) / 2

    The transformer is `TableInContext`, and all that is meta-trained. The regression is
    `LinearProbe` on the columns, which chooses its penalty and how sure it is on rows left out.
    They err on different tables: the one on few rows and on classes whose order matters, the other
    where columns act together.

    Args:
        width: Width of the token of a cell; that of a row is four times as large.
        n_cell_blocks: Blocks over cells.
        n_row_blocks: Blocks over rows.
        n_heads: Heads of each attention.
        n_seeds: Tokens in the summary of a column.

    Shapes:
        prediction (query, way)

    Source: the members'; Dietterich: Ensemble Methods in Machine Learning, MCS 2000.

    Example:
        >>> learner = TableEnsemble(width=8, n_row_blocks=1)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(vmappable=False, vmappable_loss=True, reads_columns=True)

    def __init__(
        self,
        width: int = 32,
        n_cell_blocks: int = 2,
        n_row_blocks: int = 4,
        n_heads: int = 4,
        n_seeds: int = 8,
    ) -> None:
        super().__init__()
        sizes = (width, n_cell_blocks, n_row_blocks, n_heads, n_seeds)
        self.context = TableInContext("classification", 1, *sizes)
        self.linear = LinearProbe(nn.Identity(), columns=True).requires_grad_(False)

    def adapt(self, support: Examples) -> TableEnsembleState:
        context, linear = self.context.adapt(support), self.linear.adapt(support)
        return TableEnsembleState(context._asdict(), linear._asdict(), context.present)

    def predict(self, state: TableEnsembleState, x: Tensor) -> Tensor:
        answers = [
            self.context.predict(TableInContextState(**state.context), x),
            self.linear.predict(_linear(state), x),
        ]
        either = torch.logaddexp(*(torch.log_softmax(logits, dim=1) for logits in answers))
        return mask_absent(either, state.present)

    def task_loss(self, task: Task) -> Tensor:
        return self.context.task_loss(task)

    def support_attention(self, state: TableEnsembleState, support: Examples, x: Tensor) -> Tensor:
        """That of the transformer."""
        return self.context.support_attention(TableInContextState(**state.context), support, x)

    def ablations(self) -> dict[str, AnyLearner]:
        return {"without the transformer": self.linear}


def _linear(state: TableEnsembleState) -> LinearHeadState:
    # A dict without entries leaves no tensor behind where states are saved.
    return LinearHeadState(**{"statistics": {}, **state.linear})
