"""A transformer over the cells of a table, which learns in its context."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.learner import Learner, Tags, state_bytes
from quickstudy.nets.cells import N_CELL, Evidence, describe_cells, fit_cells
from quickstudy.nets.columns import Scaling, fit_scaling, scale
from quickstudy.nets.pieces import in_pieces
from quickstudy.nets.products import Linear
from quickstudy.nets.ridges import RIDGES, Ridges, ask_ridges, fit_ridges
from quickstudy.nets.table_transformer import CellBlock, Memory, RowBlock
from quickstudy.nets.transformer import ignoring
from quickstudy.task import Examples, Kind, Task, class_present, mask_absent

N_READERS = 4
"""Tokens of a row that read its cells, and together become the row."""
N_FACTS = 3 + len(RIDGES)
MOST_ROWS, MOST_CELLS = 5_000, 2_000_000
"""Rows of the support, which regressions invert a matrix of, and cells, once for each class."""
SURE = 1e-4
"""Least and largest share of a class, as its log-odds are taken."""
LEAST_ERROR = 1e-4
"""Least mean squared error of a ridge regression, as its logarithm is taken."""
FAR = 3.0
"""Standard deviations from which on the error of a mean counts by its size, not its square."""
MOST_SAID = 10.0
"""Standard deviations that a ridge regression may be away from the mean of a regression."""


class TableInContextState(NamedTuple):
    """The result of a pass over the support.

    A target is a class against the rest, of two classes one alone, or an output of a regression.

    Shapes: scaling, evidence and ridges, of `quickstudy.nets.columns.Scaling`,
    `quickstudy.nets.cells.Evidence` and `quickstudy.nets.ridges.Ridges`; columns and rows, by the
    number of a block, the keys and values that queries read: (targets, d + readers, heads, seeds,
    size) of a block of cells, (targets, heads, support, size) of one of rows; facts (targets,
    facts), of the task; weight (support,), 0 for padding; present (way,), 0 for padding; shares
    (targets, way), what the log-odds of a target count for each class; spread (2, outputs), mean
    and standard deviation of the targets of a regression.
    """

    scaling: dict[str, Tensor]
    evidence: dict[str, Tensor]
    ridges: dict[str, Tensor]
    columns: dict[str, dict[str, Tensor]]
    rows: dict[str, dict[str, Tensor]]
    facts: Tensor
    weight: Tensor
    present: Tensor
    shares: Tensor
    spread: Tensor


class TableInContext(Learner[TableInContextState]):
    """Learns a table in the forward pass of a transformer that is meta-trained on many tables.

    Each cell is a token. It starts from where its value stands in the column and what the targets
    are of support rows with values nearby; it reads a summary of its column, then the other cells
    of its row. Tokens that read whole rows become rows, to which is added what some ridge
    regressions in closed form say of them; rows then read the support rows with their targets.

    adapt:    c_ij = f(place of x_ij in column j, targets of other rows near that place)
              c_ij += read(summary of column j),  c_ij += read(c_i1, ..., c_id)
              r_i = W readers_i + U g_i + V y_i,  r_i += read(r_1, ..., r_n)
              g_i = ridge regressions of the other rows, by several kernels and penalties
    predict:  the same for a query, without y
              s_k = MLP(r) + trust(r)^T g + log-odds of class k in the support
              p = softmax((1 - 1/K) s) of the K classes, each told from the rest; K = 2: s_1 = -s_2

    In regression the mean of the ridge regressions, weighted by their left-out errors, is where a
    prediction starts, and what they leave of y takes its place in the tokens:

    adapt:    b_i = sum_k w_k g_ik,  w = softmax(-4 log(left-out errors)),  e = the smallest
              z_i = (y_i - b_i) / sqrt(e)
    predict:  (mean, quantiles of y) = b + sqrt(e) MLP(r) + trust(r)^T (g - b)

    Args:
        kind: What the targets are.
        n_out: Outputs of a regression task, each learned by itself.
        width: Width of the token of a cell; that of a row is four times as large.
        n_cell_blocks: Blocks over cells.
        n_row_blocks: Blocks over rows.
        n_heads: Heads of each attention.
        n_seeds: Tokens in the summary of a column.
        n_quantiles: Quantiles of a target in regression, in the middle of even parts of [0, 1];
            others are read off between them.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: any number of columns and classes; the order of the columns, rows and classes does
    not matter, nor do the units of a column, nor one that is constant in the support.

    Differs from the papers: there is no vector for a class, as each is told from the rest in a pass
    of its own, so that none has a place; of two, only the one is whose rows stand higher in their
    columns, so that their order does not matter here either; cells and rows know from the start,
    without a parameter, what the targets near them are, which takes little meta-training; columns
    are read through summaries, so that rows are compared with each other only once they are whole.

    Meta-training asks of each task its first class alone, as the classes of made-up tables come in
    no order. In regression its loss is the pinball loss of the quantiles and half the squared error
    of the mean, that of far targets less.

    Source: Hollmann et al.: TabPFN, ICLR 2023, and Accurate predictions on small data with a
    tabular foundation model, Nature 2025 (cells as tokens); Qu et al.: TabICL, ICML 2025 (columns,
    then rows, then the context); Pfefferle et al.: nanoTabPFN, 2025.

    Example:
        >>> learner = TableInContext(width=8, n_row_blocks=1)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(reads_columns=True)

    def __init__(
        self,
        kind: Kind = "classification",
        n_out: int = 1,
        width: int = 32,
        n_cell_blocks: int = 2,
        n_row_blocks: int = 4,
        n_heads: int = 4,
        n_seeds: int = 8,
        n_quantiles: int = 20,
    ) -> None:
        super().__init__()
        sizes = {"width": width, "n_cell_blocks": n_cell_blocks, "n_row_blocks": n_row_blocks}
        at_least("TableInContext", 1, n_seeds=n_seeds, **sizes)
        at_least("TableInContext", 2, n_quantiles=n_quantiles)
        self.kind, row = kind, N_READERS * width
        self.of_cell = nn.Sequential(Linear(N_CELL, 2 * width), nn.GELU(), Linear(2 * width, width))
        self.readers = nn.Parameter(torch.randn(N_READERS, width) / math.sqrt(width))
        self.of_facts, self.of_target = Linear(N_FACTS, row), Linear(2, width)
        self.cell_blocks = nn.ModuleList(
            CellBlock(width, n_heads, n_seeds) for _ in range(n_cell_blocks)
        )
        self.to_row, self.target_of_row = Linear(row, row), Linear(2, row)
        self.of_ridges = Linear(len(RIDGES), row)
        self.row_blocks = nn.ModuleList(RowBlock(row, n_heads) for _ in range(n_row_blocks))
        self.norm, self.hidden = nn.LayerNorm(row), Linear(row, row)
        self.read_out = nn.Linear(row, 1 if kind == "classification" else 1 + n_quantiles)
        self.trust = nn.Linear(row, len(RIDGES))
        # Zero, so that before meta-training it says how often each class is, or what the ridge
        # regressions say.
        for last in (self.read_out, self.trust):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def adapt(self, support: Examples) -> TableInContextState:
        if support.x.ndim != 2:
            raise UserError(
                f"TableInContext: is for rows of tables; received inputs of shape "
                f"{tuple(support.x.shape[1:])}; choose another learner, such as InContext."
            )
        (n, d), n_targets = support.x.shape, support.y.shape[1]
        once = self.kind == "classification" and n_targets == 2
        if n > MOST_ROWS or n * (d + N_READERS) * (1 if once else n_targets) > MOST_CELLS:
            raise UserError(
                f"TableInContext: reads all rows together, {MOST_ROWS:,} rows and {MOST_CELLS:,} "
                f"cells at most, each cell once for a class, of two once; received {n:,} rows of "
                f"{d:,} columns (a category is one), and {n_targets} classes or outputs; "
                "give fewer rows, or take another model, such as tables-linear."
            )
        if self.kind == "regression":
            return self._read(support)
        (asked, shares), y = _shares(support), support.y
        if once:
            y, shares = (y @ asked)[:, None], (asked @ shares)[None]
        state = self._read(support._replace(y=y))
        return state._replace(present=class_present(support), shares=shares)

    def predict(self, state: TableInContextState, x: Tensor) -> Tensor:
        out = self._outputs(state, x)
        if self.kind == "regression":
            return out[..., 0] * state.spread[1] + state.spread[0]
        return mask_absent(out[..., 0] @ state.shares, state.present)

    def task_loss(self, task: Task) -> Tensor:
        support, query = task
        state = self._read(support._replace(y=support.y[:, :1]))
        out, y = self._outputs(state, query.x)[:, 0], query.y[:, 0]
        if self.kind == "classification":
            each = F.binary_cross_entropy_with_logits(out[:, 0], y, reduction="none")
        else:
            # Of standardised targets, cut off where no answer goes; where those of the support are
            # all alike, in their own unit.
            mean, std = state.spread[:, 0]
            y = ((y - mean) / torch.where(std > 0, std, 1.0)).clamp(-MOST_SAID, MOST_SAID)
            of_mean = FAR * F.smooth_l1_loss(out[:, 0], y, reduction="none", beta=FAR)
            each = of_mean + self._pinball(out[:, 1:], y)
        return (each * query.weight).sum() / query.weight.sum()

    def distribution(self, state: TableInContextState, x: Tensor) -> tuple[Tensor, Tensor] | None:
        if self.kind == "classification":
            return None
        out = self._outputs(state, x)
        std = out[..., 1:].std(dim=2, correction=0)
        return out[..., 0] * state.spread[1] + state.spread[0], std * state.spread[1]

    def quantiles(
        self, state: TableInContextState, x: Tensor, levels: Sequence[float]
    ) -> Tensor | None:
        if self.kind == "classification":
            return None
        own = self._outputs(state, x)[..., 1:].sort(dim=-1).values
        middles = (torch.arange(own.shape[-1], dtype=torch.float64) + 0.5) / own.shape[-1]
        # Linear in the normal score of the level, and so on beyond the first and the last.
        at, asked = (torch.special.ndtri(p) for p in (middles, torch.tensor(levels).double()))
        right = torch.searchsorted(at, asked).clamp(1, len(at) - 1)
        share = ((asked - at[right - 1]) / (at[right] - at[right - 1])).to(own)
        left, right = right.to(own.device) - 1, right.to(own.device)
        found = own[..., left] + share * (own[..., right] - own[..., left])
        return found * state.spread[1][:, None] + state.spread[0][:, None]

    def support_attention(self, state: TableInContextState, support: Examples, x: Tensor) -> Tensor:
        ignore, shares = ignoring(state.weight), []
        *rows, _ = self._rows_of_queries(state, x)
        for row, block, memory in zip(rows, self.row_blocks, state.rows.values(), strict=True):
            assert isinstance(block, RowBlock)
            shares.append(block.shares(row, Memory(**memory), ignore))
        return torch.cat(shares, dim=1).permute(2, 0, 1, 3)

    def _read(self, support: Examples) -> TableInContextState:
        """The state for all targets, each by itself."""
        x, y, weight = support
        n, spread = weight.sum(), y.new_zeros(2, y.shape[1])
        mean = (weight @ y) / n
        std = (weight @ (y - mean).square() / n).sqrt()
        standard = ((y - mean) / torch.where(std > 0, std, 1.0)).T * weight
        scaling, evidence, cells = fit_cells(x, standard, weight)
        ridges, left_out = fit_ridges(scaling, x, standard, weight)
        if self.kind == "classification":
            chance = mean.clamp(SURE, 1 - SURE)
            odds, said = torch.logit(chance), (2 * y.T - 1) * weight
            errors = left_out.error.clamp(max=4) - 1
        else:
            odds, spread = 0 * mean, torch.stack([mean, std])
            errors = left_out.error.clamp(LEAST_ERROR, 4).log() / 4
            start, unit = _start(left_out.said, errors)
            said = ((standard - start) / unit).clamp(-4, 4) * weight
        sizes = torch.stack([n.log() / 5, (1 + scaling.varies.sum()).log() / 4])
        facts = torch.cat([odds[:, None] / 4, sizes.expand(len(odds), 2), errors], dim=1)
        target = torch.stack([said, standard], dim=-1)

        columns, rows = {}, {}
        ignore, across = ignoring(weight), self._across(scaling.varies)
        tokens, to_cells = self._tokens(cells, facts), self.of_target(target)[:, :, None]
        for i, block in enumerate(self.cell_blocks):
            assert isinstance(block, CellBlock)
            memory = block.summarise(tokens + to_cells, ignore)
            tokens, columns[str(i)] = block(tokens, memory, across, self._kept(i)), memory._asdict()
        row = self.to_row(tokens.flatten(2)) + self.of_ridges(left_out.said.clamp(-4, 4))
        row = row + self.target_of_row(target)
        for i, block in enumerate(self.row_blocks):
            assert isinstance(block, RowBlock)
            memory = block.memory(row)
            rows[str(i)] = memory._asdict()
            if i + 1 < len(self.row_blocks):  # what the last would say of the support, nobody asks
                row = block(row, memory, ignore)
        return TableInContextState(
            scaling._asdict(),
            evidence._asdict(),
            ridges._asdict(),
            columns,
            rows,
            facts,
            weight,
            torch.ones_like(mean),
            torch.eye(len(mean)).to(mean),
            spread,
        )

    def _outputs(self, state: TableInContextState, x: Tensor) -> Tensor:
        """Log-odds `(query, targets, 1)`, or mean and quantiles of a standardised target."""

        def outputs(x: Tensor) -> Tensor:
            *_, row = self._rows_of_queries(state, x)
            hidden, ridges = F.gelu(self.hidden(self.norm(row))), self._of_ridges(state, x)
            out, trust = self.read_out(hidden), self.trust(hidden)
            if self.kind == "classification":
                trusted = (trust * ridges.clamp(-4, 4)).sum(dim=-1, keepdim=True)
                return (out + trusted).transpose(0, 1) + 4 * state.facts[:, :1]
            start, unit = _start(ridges, state.facts[:, -len(RIDGES) :])
            start = start[..., None]
            trusted = (trust * (ridges - start)).sum(dim=-1, keepdim=True)
            return (start + unit[..., None] * out + trusted).transpose(0, 1)

        return in_pieces(outputs, x, self, "predict", state_bytes(state))

    def _rows_of_queries(self, state: TableInContextState, x: Tensor) -> Iterator[Tensor]:
        """The rows `(targets, query, width)` before the first block, and after each."""
        scaling = Scaling(**state.scaling)
        cells = describe_cells(scaling, Evidence(**state.evidence), x)
        tokens, across = self._tokens(cells, state.facts), self._across(scaling.varies)
        for i, block in enumerate(self.cell_blocks):
            tokens = block(tokens, Memory(**state.columns[str(i)]), across, self._kept(i))
        ridges = self._of_ridges(state, x).clamp(-4, 4)
        row = self.to_row(tokens.flatten(2)) + self.of_ridges(ridges)
        ignore = ignoring(state.weight)
        yield row
        for i, block in enumerate(self.row_blocks):
            row = block(row, Memory(**state.rows[str(i)]), ignore)
            yield row

    def _of_ridges(self, state: TableInContextState, x: Tensor) -> Tensor:
        """Predictions of each regression for queries `(targets, query, ridges)`."""
        return ask_ridges(Scaling(**state.scaling), Ridges(**state.ridges), x)

    def _tokens(self, cells: Tensor, facts: Tensor) -> Tensor:
        """The tokens of rows `(targets, rows, readers + d, width)`: readers, then cells."""
        readers = self.readers + self.of_facts(facts).unflatten(1, self.readers.shape)
        each = readers[:, None].expand(-1, cells.shape[1], -1, -1)
        return torch.cat([each, self.of_cell(cells)], dim=2)

    def _across(self, varies: Tensor) -> Tensor:
        """The bias of reading a row: nothing is read of a column that is constant."""
        return ignoring(torch.cat([varies.new_ones(N_READERS), varies]))

    def _kept(self, block: int) -> int | None:
        """How many tokens of a row are needed after a block of cells; None for all."""
        return N_READERS if block + 1 == len(self.cell_blocks) else None

    def _pinball(self, quantiles: Tensor, y: Tensor) -> Tensor:
        """The loss of quantiles `(query, quantiles)` of targets `(query,)`."""
        at = torch.arange(quantiles.shape[1], device=y.device, dtype=y.dtype)
        level = (at + 0.5) / len(at)
        gap = y[:, None] - quantiles
        return 2 * torch.maximum(level * gap, (level - 1) * gap).mean(dim=1)


def _shares(support: Examples) -> tuple[Tensor, Tensor]:
    """Which class is asked where there are two, and what log-odds count for the classes.

    Of two it is the one whose rows stand higher in their columns: so the order of the classes does
    not matter, and a single row seldom does.

    Returns:
        1 for this class `(way,)`, and what the log-odds of each class against the rest count for
        each class `(way, way)`.
    """
    x, y, weight = support
    present, scaling = class_present(support), fit_scaling(x, weight)
    place = (2 * scale(scaling, x).u - 1) @ scaling.varies
    # Of the places themselves the means of two classes may be the same, as in XOR.
    height = (place / scaling.varies.sum().clamp(min=1).sqrt()).exp() * weight
    heights = mask_absent((height @ y) / (weight @ y).clamp(min=1), present)
    asked = (torch.arange(len(present), device=y.device) == heights.argmax()).to(y)
    n = present.sum()
    of_two = asked[:, None] * (asked - present / 2)
    # Where s_k is log p_k less the mean logarithm of the others, this gives log p_k + constant.
    of_many = torch.diag(1 - present / n.clamp(min=1))
    return asked, torch.where(n == 2, of_two, of_many)


def _start(said: Tensor, errors: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of ridge regressions, those that err less weighing more, and the unit of an error.

    Args:
        said: Their predictions `(targets, rows, ridges)`.
        errors: A quarter of the logarithm of their left-out errors `(targets, ridges)`.

    Returns:
        The mean `(targets, rows)`, and the root of the smallest error `(targets, 1)`.
    """
    weights = (-16 * errors).softmax(dim=1)[:, None]
    start = (said.clamp(-MOST_SAID, MOST_SAID) * weights).sum(dim=-1)
    return start, (2 * errors.amin(dim=1, keepdim=True)).exp()
