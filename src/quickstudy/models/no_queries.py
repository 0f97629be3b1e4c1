"""Programs that answer no queries: with no rows, rather than by an error or the process's end.

Where there are no rows there are no numbers, and a size that follows from the others, -1 in a
shape, may be any: PyTorch refuses, and ONNX Runtime divides by zero, also in some fused products.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from numpy.typing import NDArray
from torch import fx

ATEN = torch.ops.aten
SHAPE_AT: dict[Any, int] = {
    ATEN.view.default: 1,
    ATEN.reshape.default: 1,
    ATEN.unflatten.int: 2,
}
"""Place of the shape among the arguments of an operation."""


def write_out_sizes(nodes: Iterable[fx.Node]) -> None:
    """Replaces -1 in the shapes of a graph of `torch.export` by the size that it stands for."""
    for node in nodes:
        at = SHAPE_AT.get(node.target)
        if at is None:
            continue
        args: tuple[Any, ...] = node.args
        first = 0 if at == 1 else int(args[1]) % args[0].meta["val"].ndim
        shape = [*args[at]]
        for i, size in enumerate(node.meta["val"].shape[first : first + len(shape)]):
            if shape[i] == -1 and isinstance(size, int):
                shape[i] = size
        node.update_arg(at, shape)


def ask_one_instead(model: Any, one: NDArray[Any]) -> None:
    """Has an ONNX model compute with one query where there is none, and drop its answer.

        filler  = one[: max(1 - n, 0)],  outputs = model(queries with filler)[:n]

    Args:
        model: Of one input and outputs whose first axis is that of the queries; it is changed.
        one: A query `(1, *x)`.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    queries, n = graph.input[0].name, "n_asked"
    one_or_more = "queries_or_one"
    numbers = {"none": [0], "one": [1]}
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.INT64, [1], value) for name, value in numbers.items()
    )
    graph.initializer.append(numpy_helper.from_array(one, "a_query"))
    renamed = {queries: one_or_more, **{each.name: f"{each.name}_of_all" for each in graph.output}}
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [renamed.get(name, name) for name in names]
    before = [
        helper.make_node("Shape", [queries], [n], start=0, end=1),
        helper.make_node("Sub", ["one", n], ["one_less"]),
        helper.make_node("Max", ["one_less", "none"], ["n_missing"]),
        helper.make_node("Slice", ["a_query", "none", "n_missing", "none"], ["filler"]),
        helper.make_node("Concat", [queries, "filler"], [one_or_more], axis=0),
    ]
    after = [
        helper.make_node("Slice", [renamed[name], "none", n, "none"], [name])
        for name in (each.name for each in graph.output)
    ]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
