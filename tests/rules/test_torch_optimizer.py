"""A rule as a torch optimizer: the same steps, its memory saved and loaded, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.rules import CLASSICAL, LEARNED, RuleOptimizer, UpdateRule, build_rule


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


X, Y = torch.randn(8, 3, generator=torch.Generator().manual_seed(1)), torch.arange(8) % 2


def loss_of(net: nn.Module) -> Tensor:
    return nn.functional.cross_entropy(net(X.to(next(net.parameters()))), Y)


def go(net: nn.Module, optimizer: RuleOptimizer, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward()
        optimizer.step(loss=loss)


def rule_of(name: str) -> UpdateRule:
    torch.manual_seed(2)
    return build_rule(name)


@pytest.mark.parametrize("name", LEARNED)
def test_its_steps_are_those_of_the_rule(name: str) -> None:
    net, rule = model(), rule_of(name)
    theta = {n: p.detach().clone() for n, p in net.named_parameters()}
    state = rule.start(theta)
    optimizer = RuleOptimizer(net.parameters(), rule)
    for _ in range(3):
        free = {n: p.detach().requires_grad_() for n, p in theta.items()}
        loss = nn.functional.cross_entropy(torch.func.functional_call(net, free, (X,)), Y)
        slopes = dict(zip(free, torch.autograd.grad(loss, [*free.values()]), strict=True))
        with torch.no_grad():
            theta, state = rule.update(state, theta, slopes, loss.detach())
    go(net, optimizer, 3)
    for n, p in net.named_parameters():
        torch.testing.assert_close(p.detach(), theta[n])


def test_it_is_adam_with_the_rule_of_adam() -> None:
    ours, theirs = model().double(), model().double()
    go(ours, RuleOptimizer(ours.parameters(), CLASSICAL["Adam"](lr=0.05)), 20)
    adam = torch.optim.Adam(theirs.parameters(), lr=0.05)
    for _ in range(20):
        adam.zero_grad()
        loss_of(theirs).backward()
        adam.step()
    torch.testing.assert_close([*ours.parameters()], [*theirs.parameters()])


@pytest.mark.parametrize("name", LEARNED)
def test_its_memory_is_saved_and_loaded(name: str) -> None:
    rule, whole, half = rule_of(name), model(), model()
    go(whole, RuleOptimizer(whole.parameters(), rule), 6)
    first = RuleOptimizer(half.parameters(), rule)
    go(half, first, 3)
    kept = first.state_dict()
    read = {
        "state": {"rule": load(save(kept["state"]["rule"]))},
        **{key: value for key, value in kept.items() if key != "state"},
    }
    second = RuleOptimizer(half.parameters(), rule)
    second.load_state_dict(read)
    go(half, second, 3)
    for ours, theirs in zip(half.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_closure_gives_loss_and_gradients() -> None:
    net, other = model(), model()
    optimizer = RuleOptimizer(net.parameters(), rule_of("lstm"))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward()
        return loss

    first = loss_of(net).item()
    assert float(torch.as_tensor(optimizer.step(closure)).detach()) == pytest.approx(first)
    go(other, RuleOptimizer(other.parameters(), rule_of("lstm")), 1)
    torch.testing.assert_close(net[0].weight, other[0].weight)


def test_a_rule_of_float32_trains_a_model_of_float64() -> None:
    single, double = model(), model().double()
    go(single, RuleOptimizer(single.parameters(), rule_of("linear")), 5)
    go(double, RuleOptimizer(double.parameters(), rule_of("linear")), 5)
    for p, q in zip(single.parameters(), double.parameters(), strict=True):
        assert q.dtype == torch.float64
        torch.testing.assert_close(p.double(), q, rtol=1e-4, atol=1e-5)


def test_parameters_without_gradient_stay() -> None:
    net = model()
    net[0].weight.requires_grad_(False)
    before = net[0].weight.clone()
    go(net, RuleOptimizer(net.parameters(), rule_of("meta_lstm")), 2)
    assert torch.equal(net[0].weight, before)
    assert not torch.equal(net[2].weight, model()[2].weight)


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (torch.zeros(2, dtype=torch.complex64), "received one of complex64"),
        (torch.zeros(2, dtype=torch.float16), "received one of float16; keep float32"),
        (torch.zeros(2, dtype=torch.bfloat16), "received one of bfloat16"),
        (torch.zeros(0, 3), r"an empty one of shape \(0, 3\)"),
        (torch.zeros(2, dtype=torch.int64), "received one of int64"),
    ],
)
def test_parameters_that_no_rule_serves_are_refused(p: Tensor, words: str) -> None:
    p = nn.Parameter(p, requires_grad=p.is_floating_point())
    with pytest.raises(UserError, match=words):
        RuleOptimizer([p], rule_of("lstm"))


def test_what_a_step_cannot_use_is_refused() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = RuleOptimizer(table.parameters(), rule_of("linear"))
    table(torch.tensor([1, 2])).sum().backward()
    with pytest.raises(UserError, match=r"gradient of parameter 0.0.*sparse.*Embedding"):
        optimizer.step(loss=torch.zeros(()))
    with pytest.raises(UserError, match="received neither loss nor closure"):
        optimizer.step()
    with pytest.raises(UserError, match="received another group"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    with pytest.raises(UserError, match="single number"):
        RuleOptimizer([nn.Parameter(torch.ones(()))], rule_of("mlp"))


@pytest.mark.parametrize("other", ["rule", "parameters"])
def test_the_memory_of_another_is_refused(other: str) -> None:
    net = model()
    params: Any = net.parameters() if other == "rule" else net[2].parameters()
    kept = RuleOptimizer(params, rule_of("lstm" if other == "parameters" else "linear"))
    with pytest.raises(UserError, match="expected the memory of LSTMRule for these parameters"):
        RuleOptimizer(net.parameters(), rule_of("lstm")).load_state_dict(kept.state_dict())


SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "StepLR": lambda o: torch.optim.lr_scheduler.StepLR(o, 2, gamma=0.5),
    "LambdaLR": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda i: 1 / (1 + i)),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 6),
    "OneCycleLR": lambda o: torch.optim.lr_scheduler.OneCycleLR(
        o, 0.2, total_steps=8, cycle_momentum=False
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_drive_a_rule_with_a_step_size_as_they_drive_torch(name: str) -> None:
    ours, theirs = model().double(), model().double()
    mine = RuleOptimizer(ours.parameters(), CLASSICAL["Adam"](lr=0.05))
    other = torch.optim.Adam(theirs.parameters(), lr=0.05)
    schedules = [SCHEDULERS[name](optimizer) for optimizer in (mine, other)]
    for _ in range(6):
        go(ours, mine, 1)
        other.zero_grad()
        loss_of(theirs).backward()
        other.step()
        for schedule in schedules:
            schedule.step()
    torch.testing.assert_close([*ours.parameters()], [*theirs.parameters()])
    moved = (ours[0].weight - model().double()[0].weight).abs().max()  # type: ignore[operator, index, union-attr]
    assert moved > 0.01


def test_groups_may_have_step_sizes_of_their_own() -> None:
    net, torchs = model(), model()
    groups = [{"params": net[0].parameters(), "lr": 0.0}, {"params": net[2].parameters()}]
    theirs = [{"params": torchs[0].parameters(), "lr": 0.0}, {"params": torchs[2].parameters()}]
    optimizer = RuleOptimizer(groups, CLASSICAL["momentum"](lr=0.1))
    go(net, optimizer, 3)
    sgd = torch.optim.SGD(theirs, lr=0.1, momentum=0.9)
    for _ in range(3):
        sgd.zero_grad()
        loss_of(torchs).backward()
        sgd.step()
    torch.testing.assert_close([*net.parameters()], [*torchs.parameters()])
    assert torch.equal(net[0].weight, model()[0].weight)
    again = RuleOptimizer(groups, CLASSICAL["momentum"](lr=0.1))
    again.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in again.param_groups] == [0.0, 0.1]


def test_options_that_a_rule_has_not_are_refused() -> None:
    params = [*model().parameters()]
    for options, rule, words in (
        ({"weight_decay": 1.0}, CLASSICAL["SGD"](), "may have lr; received weight_decay"),
        ({"lr": 0.1}, rule_of("lstm"), "may have no options; received lr"),
    ):
        with pytest.raises(UserError, match=words):
            RuleOptimizer([{"params": params, **options}], rule)
    learned = RuleOptimizer(params, rule_of("lstm"))
    for schedule in SCHEDULERS.values():
        with pytest.raises(UserError, match="LSTMRule chooses its steps itself and has no lr"):
            schedule(learned)
    optimizer = RuleOptimizer(params, CLASSICAL["SGD"]())
    optimizer.param_groups[0]["weight_decay"] = 0.1
    with pytest.raises(UserError, match="weight_decay would have no effect"):
        optimizer.step(loss=torch.zeros(()))


@pytest.mark.parametrize("way", ["deepcopy", "pickle"])
@pytest.mark.parametrize("name", ["lstm", "Adam"])
def test_a_copy_goes_on_as_the_original(name: str, way: str) -> None:
    net = model()
    rule = rule_of(name) if name == "lstm" else CLASSICAL[name](lr=0.05)
    optimizer = RuleOptimizer(net.parameters(), rule)
    go(net, optimizer, 2)
    pair = (net, optimizer)
    copied = {"deepcopy": copy.deepcopy, "pickle": lambda pair: pickle.loads(pickle.dumps(pair))}  # noqa: S301 - our own
    twin, its = copied[way](pair)
    go(twin, its, 2)
    assert not torch.equal(net[0].weight, twin[0].weight)
    go(net, optimizer, 2)
    torch.testing.assert_close([*net.parameters()], [*twin.parameters()], rtol=0, atol=0)
