"""Tasks: checked input, padding, stacking."""

from __future__ import annotations

import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.learner import cross_entropy, mean_squared_error
from quickstudy.task import (
    Examples,
    Task,
    class_present,
    examples,
    mask_absent,
    pad,
    setting_name,
    stack,
    to_like,
    unstack,
)


def part(*classes: int, n_way: int | None = None, seed: int = 0) -> Examples:
    rng = torch.Generator().manual_seed(seed)
    return examples(torch.randn(len(classes), 2, 3, generator=rng), torch.tensor(classes), n_way)


def test_classes_become_one_hot_rows() -> None:
    found = part(2, 0)
    assert found.y.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert found.weight.tolist() == [1, 1]
    assert part(0, 1, n_way=4).y.shape == (2, 4)


def test_real_targets_become_columns() -> None:
    found = examples(torch.zeros(3, 1), torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert found.y.tolist() == [[1], [2], [3]]
    assert found.y.dtype == torch.float32


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.zeros(0, 2), torch.zeros(0).long(), "received 0 inputs and 0 targets"),
        (torch.zeros(2, 2), torch.zeros(3).long(), "received 2 inputs and 3 targets"),
        (torch.tensor([[0.0], [torch.nan]]), torch.zeros(2).long(), r"in example\(s\) \[1\]"),
        (torch.tensor([[torch.inf], [0.0]]), torch.zeros(2).long(), r"in example\(s\) \[0\]"),
        (torch.zeros(2, 1), torch.tensor([0.0, torch.nan]), r"targets.*example\(s\) \[1\]"),
        (torch.zeros(2, 1), torch.tensor([0, 3]), "classes must be 0 .. 1; received 0 .. 3"),
        (torch.zeros(2, 1), torch.tensor([-1, 1]), "received -1 .. 1"),
    ],
)
def test_wrong_examples(x: torch.Tensor, y: torch.Tensor, words: str) -> None:
    with pytest.raises(UserError, match=words):
        examples(x, y, n_way=2)


def test_padding_has_no_weight_and_no_class() -> None:
    padded = pad(part(0, 1, 1), 5, 4)
    assert padded.x.shape == (5, 2, 3)
    assert padded.weight.tolist() == [1, 1, 1, 0, 0]
    assert padded.y[3:].abs().sum() == 0
    assert class_present(padded).tolist() == [1, 1, 0, 0]
    torch.testing.assert_close(pad(part(0, 1), 2, 2), part(0, 1))


def test_absent_classes_are_impossible_and_harm_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    masked = mask_absent(logits, torch.tensor([1.0, 1, 0]))
    assert masked.softmax(dim=1)[:, 2].tolist() == [0, 0]
    target = pad(part(0, 1), 2, 3)
    loss = cross_entropy(masked, target)
    torch.testing.assert_close(loss, torch.tensor(2.0).log())
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all()
    assert gradient[:, 2].tolist() == [0, 0]


def test_losses_are_means_over_real_examples() -> None:
    prediction = torch.tensor([[1.0, 0], [0, 2], [9, 9]])
    target = Examples(torch.zeros(3, 1), torch.zeros(3, 2), torch.tensor([1.0, 1, 0]))
    assert mean_squared_error(prediction, target) == (0.5 + 2) / 2


def test_stack_pads_and_unstack_gives_back() -> None:
    tasks = [Task(part(0, 1, 2), part(0, 1, 2)), Task(part(0, 1, seed=1), part(1, n_way=2))]
    batch = stack(tasks)
    assert batch.support.x.shape == (2, 3, 2, 3)
    assert batch.query.y.shape == (2, 3, 3)
    assert batch.support.weight.tolist() == [[1, 1, 1], [1, 1, 0]]
    first, second = unstack(batch)
    torch.testing.assert_close(first, tasks[0])
    torch.testing.assert_close(second.support.x[:2], tasks[1].support.x)
    equal = stack([tasks[0], tasks[0]])
    torch.testing.assert_close(equal.query.x[1], tasks[0].query.x)


def test_cast_changes_every_tensor() -> None:
    found = to_like(Task(part(0, 1), part(0, 1)), torch.zeros((), dtype=torch.float64))
    assert {t.dtype for p in found for t in p} == {torch.float64}


def test_the_name_of_a_setting() -> None:
    assert setting_name(5, 1) == "5-way 1-shot"
    assert setting_name([2, 5], (1, 3)) == "2–5-way 1–3-shot"
    assert setting_name(None, 5) == "5-shot"
    assert setting_name(None, None) == ""
