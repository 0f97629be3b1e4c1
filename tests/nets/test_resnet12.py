"""The residual network: shapes, messages, and the papers' forward pass by hand."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from reference.networks import channelwise, groupwise, statistics
from torch import Tensor, nn

from quickstudy import UserError, build
from quickstudy.nets import ResNet12
from quickstudy.nets.norm import Norm, NormKind, kinds
from quickstudy.tasks import Episodes, arrays

Pool = Literal["mean", "flatten"]


@pytest.mark.parametrize("pool", ["mean", "flatten"])
@pytest.mark.parametrize("size", [16, 28, 35])
def test_it_says_how_many_features_it_gives(pool: Pool, size: int) -> None:
    net = ResNet12((2, size, size), (4, 4, 4, 6), pool, "layer")
    assert net(torch.zeros(3, 2, size, size)).shape == (3, net.n_features)
    assert net.n_features == (6 if pool == "mean" else 6 * (size // 16) ** 2)


def test_it_has_the_layers_of_the_papers() -> None:
    net = ResNet12()
    shapes = [tuple(m.weight.shape[:3]) for m in net.modules() if isinstance(m, nn.Conv2d)]
    of_stages = [shapes[4 * i : 4 * i + 4] for i in range(4)]
    for before, width, stage in zip((3, 64, 160, 320), (64, 160, 320, 640), of_stages, strict=True):
        assert stage == [
            (width, before, 3),
            (width, width, 3),
            (width, width, 3),
            (width, before, 1),
        ]
    assert len([m for m in net.modules() if isinstance(m, Norm)]) == 16
    assert ResNet12(pool="flatten").n_features == 16000


@pytest.mark.parametrize(("in_shape", "hidden"), [((28, 28), (8,) * 4), ((1, 15, 28), (8,) * 4)])
def test_it_refuses_what_it_cannot_halve(in_shape: tuple[int, ...], hidden: list[int]) -> None:
    with pytest.raises(UserError, match=r"at least 16x16 for 4 stages; received \("):
        ResNet12(in_shape, hidden)
    assert ResNet12((1, 15, 28), (8, 8, 8)).n_features == 8


def by_hand(weights: dict[str, Tensor], x: Tensor, norm: NormKind, n_stages: int) -> Tensor:
    """conv, norm, leaky ReLU, twice; conv, norm; plus shortcut; leaky ReLU; pool: as published."""

    def normed(z: Tensor, name: str) -> Tensor:
        z = groupwise(z, 1) if norm == "layer" else channelwise(z, *statistics(z))
        scale, shift = weights[f"{name}.scale"], weights[f"{name}.shift"]
        return z * scale[None, :, None, None] + shift[None, :, None, None]

    def leaky(z: Tensor) -> Tensor:
        return torch.where(z > 0, z, 0.1 * z)

    for s in range(n_stages):
        stage, z = f"stages.{s}", x
        for layer in range(3):
            z = F.conv2d(z, weights[f"{stage}.convs.{layer}.weight"], padding=1)
            z = normed(z, f"{stage}.norms.{layer}")
            z = leaky(z) if layer < 2 else z
        beside = F.conv2d(x, weights[f"{stage}.shortcut.0.weight"])
        x = F.max_pool2d(leaky(z + normed(beside, f"{stage}.shortcut.1")), 2)
    return torch.stack([image.sum(dim=(1, 2)) / image[0].numel() for image in x])


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_features_and_gradient_are_those_worked_out_by_hand(norm: NormKind) -> None:
    torch.manual_seed(0)
    net = ResNet12((2, 17, 17), (4, 3, 5, 2), norm=norm).double()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1 * torch.randn_like(p))
    weights = {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}
    x, v = torch.randn(6, 2, 17, 17).double(), torch.randn(6, 2).double()
    found, want = net(x), by_hand(weights, x, norm, 4)
    torch.testing.assert_close(found, want, rtol=1e-9, atol=1e-11)
    gradients = torch.autograd.grad((found * v).sum(), list(net.parameters()))
    wanted = torch.autograd.grad((want * v).sum(), list(weights.values()))
    torch.testing.assert_close(gradients, wanted, rtol=1e-7, atol=1e-10)


def test_it_is_built_by_name_with_the_norm_of_the_learner() -> None:
    pictures = torch.zeros(60, 1, 16, 16, dtype=torch.uint8)
    source = Episodes(arrays(pictures, torch.arange(6).repeat(10)), 2, 1, 2)
    for learner, norm in (("PrototypicalNetwork", "population"), ("MAML", "support")):
        made = build(learner, source, net={"name": "ResNet12", "hidden": [4, 4, 4, 8]})
        assert kinds(made) == {norm}
