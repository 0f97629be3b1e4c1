"""Many examples go through a network in pieces, where that changes no answer."""

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from small import blobs, maml, prototypical, sinusoid
from torch import nn

from quickstudy import build
from quickstudy.cli import console
from quickstudy.errors import UserError
from quickstudy.files.machine import growth
from quickstudy.inputs import Pictures, parallel
from quickstudy.models.model import Model
from quickstudy.nets import Conv4, norm, pieces
from quickstudy.nets.watch import watching
from quickstudy.progress import heard_by, tell


class Counted(nn.Module):
    """A layer that remembers how many examples it saw at a time."""

    def __init__(self, kind="layer"):
        super().__init__()
        self.linear, self.norm, self.sizes = nn.Linear(4, 8), norm.Norm(8, kind), []

    def forward(self, x):
        self.sizes.append(len(x))
        return self.norm(self.linear(x))


@pytest.fixture
def tiny(monkeypatch):
    """A piece has room for some ten examples of `Counted`."""
    monkeypatch.setattr(pieces, "PIECE", 1 << 10)
    monkeypatch.setattr(pieces, "SMALL", 0)


def pass_through(net, x, **options):
    net.sizes.clear()
    out, _ = norm.run(net, None, x, **options)
    return out, max(net.sizes)


def test_a_pass_without_gradients_is_taken_in_pieces(tiny):
    net, x = Counted().eval(), torch.randn(50, 4)
    whole, together = pass_through(net, x)
    assert together == 50  # with gradients
    with torch.no_grad():
        split, largest = pass_through(net, x)
    assert 1 < largest < 20
    torch.testing.assert_close(split, whole.detach())


def test_what_depends_on_the_other_examples_stays_whole(tiny):
    x, given = torch.randn(50, 4), {"norm0": torch.ones(2, 8)}
    with torch.no_grad():
        assert pass_through(Counted("batch").eval(), x)[1] == 50
        assert pass_through(Counted("support").eval(), x)[1] == 50
        assert pass_through(Counted("population").train(), x)[1] == 50
        assert pass_through(Counted("support").eval(), x, given=given)[1] < 20
        assert pass_through(Counted("population").eval(), x)[1] < 20
        own = Counted().eval()
        own.norm = nn.BatchNorm1d(8, track_running_stats=False)
        assert pass_through(own, x)[1] == 50


def test_who_watches_layers_sees_all_examples(tiny):
    net, x = Counted().eval(), torch.randn(50, 4)
    with torch.no_grad(), watching(net) as seen:
        pass_through(net, x)
    assert len(seen["linear"].input) == 50


def test_a_vectorised_pass_is_not_looked_into(tiny):
    net, x = Counted().eval(), torch.randn(3, 50, 4)
    with torch.no_grad():
        out = torch.func.vmap(lambda x: norm.run(net, None, x)[0])(x)
    torch.testing.assert_close(out[1], norm.run(net, None, x[1])[0].detach())


@pytest.mark.parametrize("make", [prototypical, maml])
def test_answers_of_many_queries_are_those_of_all_at_once(make, monkeypatch):
    source = blobs() if make is prototypical else sinusoid()
    model = Model(make(source), source.x_shape)
    support, _ = source.task("test", 0)
    y = support.y.argmax(dim=1) if make is prototypical else support.y
    adapted = model.adapt(support.x, y)
    queries = torch.randn(300, *source.x_shape)
    features = adapted.model.learner.features(adapted.state, queries)
    whole = adapted._output(queries)[0]
    monkeypatch.setattr(pieces, "PIECE", 1 << 12)
    monkeypatch.setattr(pieces, "SMALL", 0)
    told = []
    with heard_by(told.append):
        split = adapted._output(queries)[0]
    torch.testing.assert_close(split, whole)
    assert told[-1] == "queries answered: 300 of 300"
    assert len(told) > 2
    with torch.no_grad():
        again = adapted.model.learner.features(adapted.state, queries)
    torch.testing.assert_close(again, features.detach())


def test_quality_embeds_every_example_once(tiny):
    from quickstudy.learners import PrototypicalNetwork

    net = Counted()
    adapted = Model(PrototypicalNetwork(net), (4,)).adapt(torch.randn(40, 4), [0, 1] * 20)
    net.sizes.clear()
    adapted.quality()
    assert sum(net.sizes) - net.sizes.count(1) <= 40


def test_memory_does_not_grow_with_the_pictures():
    from quickstudy.learners import PrototypicalNetwork

    torch.manual_seed(0)
    net = Conv4((3, 84, 84), hidden=64, norm="layer")
    model = Model(PrototypicalNetwork(net), (3, 84, 84))
    x = torch.rand(160, 3, 84, 84)
    adapted = model.adapt(x[:4], [0, 0, 1, 1])
    adapted.predict(x[:2])
    grown = growth(lambda: adapted.predict(x), x.device)
    assert grown is None or grown < 250e6  # all at once take 3.6 MB each


def test_a_support_that_memory_cannot_hold_at_once_is_refused(monkeypatch):
    from quickstudy.files import machine
    from quickstudy.models import memory

    monkeypatch.setattr(memory, "SMALL", 0)
    monkeypatch.setattr(machine, "available_memory", lambda device: 1000)
    source = sinusoid()
    X, y = torch.randn(100, 1), torch.randn(100)
    with pytest.raises(UserError, match=r"MAML that takes inner steps .* received 100, which need"):
        Model(maml(source), (1,)).adapt(X, y)
    piecewise = build("RidgeHead", source, net={"name": "MLP", "hidden": (8,)})
    Model(piecewise, (1,)).adapt(X, y)


def test_files_are_read_side_by_side_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(parallel, "THREADS", 2)
    running, most, lock = [], [], threading.Lock()

    def read(number):
        with lock:
            running.append(number)
            most.append(len(running))
        time.sleep(0.001 * (number % 3))
        with lock:
            running.remove(number)
        if number == 11:
            raise ValueError("eleven")
        return 10 * number

    started = []
    told = []
    with heard_by(told.append):
        for answer in parallel.read_each(read, range(40), "read"):
            started.append(len(most))
            if not isinstance(answer, Exception):
                assert answer == 10 * (len(started) - 1)
    assert str(answer) == "390"
    assert max(most) <= 2
    # None is read long before it is wanted.
    assert all(begun <= place + 1 + 8 for place, begun in enumerate(started))
    assert told[-1] == "read: 40 of 40"


def test_pictures_are_the_same_however_many_are_read_at_a_time(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.png" for i in range(12)]
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)).save(path)
    kind = Pictures(size=16, mode="RGB")
    monkeypatch.setattr(parallel, "THREADS", 1)
    one_by_one, _ = kind.encode(paths, (3, 16, 16))
    monkeypatch.setattr(parallel, "THREADS", 3)
    side_by_side, _ = kind.encode(paths, (3, 16, 16))
    np.testing.assert_array_equal(side_by_side, one_by_one)
    assert side_by_side.dtype == np.float32
    by_hand = np.stack([kind(path) for path in paths]).astype(np.float32) / 255
    np.testing.assert_array_equal(side_by_side, by_hand)


def test_a_command_whose_output_is_a_pipe_says_how_far_it_is(monkeypatch, capsys):
    monkeypatch.setattr(console, "SILENCE", 0.0)
    with console.status("predicting: "):
        tell("pictures read", 64, 5000)
    assert capsys.readouterr().err == "predicting: pictures read: 64 of 5000\n"
    monkeypatch.setattr(console, "SILENCE", 3600.0)
    with console.status("predicting: "):
        tell("pictures read", 64, 5000)
    tell("pictures read", 65, 5000)  # nobody listens
    assert capsys.readouterr().err == ""
