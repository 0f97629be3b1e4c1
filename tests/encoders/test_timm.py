"""`timm:NAME@FILE`, with a stand-in for the package, which needs torchvision."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from quickstudy.encoders import PictureRule, encoder, network, places
from quickstudy.errors import DataError, UserError


class Net(nn.Module):
    num_features = 6

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3)
        self.head = nn.Linear(6, num_classes) if num_classes else nn.Identity()

    def forward(self, x):
        return self.head(self.stem(x).mean(dim=(2, 3)))


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    def create_model(name, pretrained, num_classes):
        assert not pretrained
        if name != "tiny":
            raise RuntimeError(f"Unknown model ({name})")
        return Net(num_classes)

    config = {
        "input_size": (3, 16, 16),
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.25, 0.3),
        "crop_pct": 0.8,
        "interpolation": "bicubic",
    }
    data = types.SimpleNamespace(resolve_model_data_config=lambda model: config)
    timm = types.SimpleNamespace(create_model=create_model, data=data)
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "_places", {})


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    net = Net(3)
    save_file(net.state_dict(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors", net


def test_a_network_of_timm_with_weights_of_a_file(weights):
    file, net = weights
    mine = encoder(f"timm:tiny@{file}")
    assert (mine.name, mine.n_features) == ("timm:tiny", 6)
    rule = PictureRule(16, "crop", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), crop_from=20)
    assert mine.rule == rule
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)
    net.head = nn.Identity()
    mean, std = (torch.tensor(each)[:, None, None] for each in (rule.mean, rule.std))
    with torch.no_grad():
        expected = net((torch.from_numpy(x) / 255 - mean) / std).numpy()
    np.testing.assert_allclose(network(mine).pictures(x), expected, atol=1e-5)


def test_nothing_is_downloaded(weights):
    for name in ("timm:tiny", "timm:tiny@weights.bin"):
        with pytest.raises(UserError, match="name one, as nothing is downloaded"):
            encoder(name)
    with pytest.raises(DataError, match="cannot be read"):
        encoder("timm:tiny@/none/such.safetensors")
    with pytest.raises(UserError, match="must be a network of timm; received 'huge'"):
        encoder(f"timm:huge@{weights[0]}")


def test_weights_of_another_network_are_refused(weights):
    file, net = weights
    save_file({"stem.weight": net.stem.weight}, file)
    with pytest.raises(DataError, match=r"received 1 that differ, such as stem\.bias"):
        network(encoder(f"timm:tiny@{file}"))
    save_file({**net.state_dict(), "stem.weight": torch.zeros(2)}, file)
    with pytest.raises(DataError, match="received others"):
        network(encoder(f"timm:tiny@{file}"))


def test_without_the_package_it_says_what_to_install(weights, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="pip install timm torchvision"):
        encoder(f"timm:tiny@{weights[0]}")
