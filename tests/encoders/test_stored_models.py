"""`folder:PATH`: models as the package `transformers` stores them."""

from __future__ import annotations

import json
import types

import numpy as np
import pytest
import torch
from folders import PREPROCESSOR, pictures_folder, texts_folder, write
from PIL import Image

from quickstudy.encoders import PictureRule, Text, TextRule, encoder, network, places
from quickstudy.encoders.written import write_graph
from quickstudy.errors import DataError, UserError
from quickstudy.inputs import EncodedPictures


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QUICKSTUDY_ENCODERS", str(tmp_path / "encoders"))
    monkeypatch.setattr(places, "_places", {})
    monkeypatch.setattr("quickstudy.encoders.registry._networks", {})


MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.mark.parametrize(
    ("preprocessor", "rule"),
    [
        ({}, PictureRule(16, "squash", MEAN, STD, pooling="cls")),
        ({"resample": 2}, PictureRule(16, "squash", MEAN, STD, resample="bilinear", pooling="cls")),
        (
            {
                "size": {"shortest_edge": 20},
                "do_center_crop": True,
                "crop_size": {"height": 16, "width": 16},
            },
            PictureRule(16, "crop", MEAN, STD, crop_from=20, pooling="cls"),
        ),
        (
            {"size": {"shortest_edge": 16}, "crop_pct": 0.8},
            PictureRule(16, "crop", MEAN, STD, crop_from=20, pooling="cls"),
        ),
        (
            {"size": 16, "do_normalize": False},
            PictureRule(16, "squash", (0, 0, 0), (1, 1, 1), pooling="cls"),
        ),
    ],
)
def test_the_preprocessing_of_pictures_comes_from_the_folder(tmp_path, preprocessor, rule):
    mine = encoder(f"folder:{pictures_folder(tmp_path / 'mine', **preprocessor)}")
    assert (mine.name, mine.rule, mine.n_features) == ("folder:mine", rule, 8)
    assert type(mine).from_json(json.loads(json.dumps(mine.to_json()))) == mine


def test_a_picture_is_mixed_as_the_rule_says():
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for resample, number in (("bicubic", 3), ("bilinear", 2)):
        rule = PictureRule(16, "squash", MEAN, STD, resample=resample)
        about = encoder(lambda texts: [[1.0]] * len(texts), name="any", takes="texts")
        kind = EncodedPictures(about.__class__(**{**vars(about), "rule": rule}))
        expected = np.asarray(Image.fromarray(picture).resize((16, 16), number))
        np.testing.assert_array_equal(kind.pictures(picture), expected.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "preprocessor",
    [
        {"size": {"height": 16, "width": 20}},
        {"rescale_factor": 1.0},
        {"resample": 0},
        {"size": {"height": 20, "width": 20}, "do_center_crop": True, "crop_size": 16},
    ],
)
def test_unusual_preprocessing_must_be_said(tmp_path, preprocessor):
    folder = pictures_folder(tmp_path / "mine", **preprocessor)
    with pytest.raises(UserError, match=r"say it in quickstudy\.json"):
        encoder(f"folder:{folder}")
    rule = {"size": 16, "resize": "squash", "resample": "bicubic", "crop_from": None}
    write(folder, quickstudy={"rule": rule, "licence": "MIT"})
    mine = encoder(f"folder:{folder}")
    assert (mine.picture_rule.size, mine.licence) == (16, "MIT")


def test_the_pooling_of_texts_comes_from_the_folder(tmp_path):
    folder = texts_folder(tmp_path / "mine")
    assert encoder(f"folder:{folder}").rule == TextRule(32, "mean", True)
    write(folder / "1_Pooling", config={"pooling_mode_cls_token": True})
    write(folder, sentence_bert_config={"max_seq_length": 20})
    assert encoder(f"folder:{folder}").rule == TextRule(20, "cls", True)
    both = {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}
    write(folder / "1_Pooling", config=both)
    with pytest.raises(UserError, match="must name mean or cls pooling alone"):
        encoder(f"folder:{folder}")
    write(folder, quickstudy={"pooling": "mean", "rule": {"normalise": False}})
    assert encoder(f"folder:{folder}").rule == TextRule(20, "mean", False)


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "modeling_mine.Mine"}},
        {"text_config": {"auto_map": {}}},
        {"_attn_implementation": "somebody/kernel"},
        {"vision_config": [{"_attn_implementation_internal": "x", "attn_implementation": "x"}]},
    ],
)
def test_a_config_that_names_code_is_refused(tmp_path, config):
    folder = texts_folder(tmp_path / "mine", **config)
    with pytest.raises(UserError, match="makes it run other code; remove the key"):
        encoder(f"folder:{folder}")


def test_weights_that_could_run_code_are_refused(tmp_path):
    folder = texts_folder(tmp_path / "mine")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"received pytorch_model\.bin, which could run code"):
        encoder(f"folder:{folder}")
    folder = texts_folder(tmp_path / "another")
    write(folder, adapter_config={})
    with pytest.raises(UserError, match=r"whole model; received adapter_config\.json"):
        encoder(f"folder:{folder}")


def test_a_folder_that_is_none_or_damaged_is_named(tmp_path):
    with pytest.raises(DataError, match="received no such folder"):
        encoder(f"folder:{tmp_path / 'none'}")
    folder = texts_folder(tmp_path / "mine")
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json must be JSON"):
        encoder(f"folder:{folder}")
    texts_folder(folder)
    write(folder, preprocessor_config=PREPROCESSOR)
    with pytest.raises(UserError, match=r'say it in quickstudy\.json, as {"takes": "texts"}'):
        encoder(f"folder:{folder}")


def test_every_file_that_decides_counts(tmp_path):
    folder = texts_folder(tmp_path / "mine")
    digests = {encoder(f"folder:{folder}").digest}
    texts_folder(folder, hidden_act="relu")
    digests.add(encoder(f"folder:{folder}").digest)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    digests.add(encoder(f"folder:{folder}").digest)
    (folder / "tokenizer.json").write_text((folder / "tokenizer.json").read_text() + " ")
    digests.add(encoder(f"folder:{folder}").digest)
    assert len(digests) == 4


def test_without_transformers_the_pip_line_is_named(tmp_path, monkeypatch):
    folder = texts_folder(tmp_path / "mine")
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UserError, match=r"pip install 'quickstudy\[encoders\]'"):
        network(encoder(f"folder:{folder}"))
    old = types.SimpleNamespace(__version__="5.2.1", AutoModel=None)
    monkeypatch.setitem(__import__("sys").modules, "transformers", old)
    with pytest.raises(UserError, match=r"must be 5\.3 or newer.*received 5\.2\.1"):
        network(encoder(f"folder:{folder}"))


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers")


def stored(transformers, folder, config, **files):
    """A folder of a random model, as the package stores it."""
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config, attn_implementation="eager").eval()
    model.save_pretrained(folder)
    return write(folder, **files), model


SMALL = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.mark.more
def test_a_bert_says_what_transformers_says(tmp_path, transformers):
    from folders import TOKENIZER

    config = transformers.BertConfig(vocab_size=14, max_position_embeddings=32, **SMALL)
    folder, model = stored(transformers, tmp_path / "bert", config, tokenizer=TOKENIZER)
    mine = encoder(f"folder:{folder}")
    texts = [Text("where is my card"), Text("the lamp"), Text("a broken lamp is not my money")]
    features = network(mine).texts(texts)
    for text, z in zip(texts, features, strict=True):
        words = [TOKENIZER["model"]["vocab"][word] for word in text.text.split()]
        with torch.no_grad():
            states = model(input_ids=torch.tensor([[2, *words, 3]])).last_hidden_state[0]
        expected = states.mean(dim=0) / states.mean(dim=0).norm()
        np.testing.assert_allclose(z, expected.numpy(), atol=1e-5)


@pytest.mark.more
@pytest.mark.parametrize("name", ["ViT", "Dinov2", "ResNet"])
def test_networks_of_pictures_say_what_transformers_says(tmp_path, transformers, name):
    options = {
        "ViT": SMALL | {"image_size": 16, "patch_size": 8},
        "Dinov2": {**SMALL, "mlp_ratio": 2, "image_size": 16, "patch_size": 8},
        "ResNet": {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]},
    }[name]
    config = getattr(transformers, f"{name}Config")(**options)
    folder, model = stored(transformers, tmp_path / name, config, preprocessor_config=PREPROCESSOR)
    mine = encoder(f"folder:{folder}")
    assert mine.n_features == 8
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)
    standard = (torch.from_numpy(x) / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[
        :, None, None
    ]
    with torch.no_grad():
        states = model(pixel_values=standard).last_hidden_state
    expected = states.mean(dim=(2, 3)) if name == "ResNet" else states[:, 0]
    np.testing.assert_allclose(network(mine).pictures(x), expected.numpy(), atol=1e-5)


@pytest.mark.more
def test_missing_weights_are_not_made_up(tmp_path, transformers):
    from folders import TOKENIZER
    from safetensors.torch import load_file, save_file

    config = transformers.BertConfig(vocab_size=14, max_position_embeddings=32, **SMALL)
    folder, _ = stored(transformers, tmp_path / "bert", config, tokenizer=TOKENIZER)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match=r"received none for encoder\.layer\.1\.output\.dense"):
        network(encoder(f"folder:{folder}"))
    (folder / "model.safetensors").write_bytes(b"\x08" + b"\0" * 30)
    with pytest.raises(DataError, match="received one that it does not"):
        network(encoder(f"folder:{folder}"))


@pytest.mark.more
def test_sentences_say_what_transformers_says(tmp_path, transformers):
    from quickstudy.encoders import NAMED
    from quickstudy.encoders.named import package_folder

    packaged = package_folder(NAMED["sentences"])
    if packaged is None:
        pytest.skip("the weights of sentences are not installed")
    folder = tmp_path / "minilm"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (folder / name).symlink_to(packaged / "model" / name)
    texts = [
        Text("Where is my parcel?"),
        Text("The lamp arrived broken, and I should like to have my money back, please."),
    ]
    expected = network(encoder(f"folder:{folder}")).texts(texts)
    features = network(encoder("sentences")).texts(texts)
    np.testing.assert_allclose(features, expected, atol=1e-5 * abs(expected).max())


@pytest.mark.more
def test_a_folder_is_exported_and_comes_back_as_a_graph(tmp_path, transformers, capsys):
    from folders import TOKENIZER

    pytest.importorskip("onnxscript")
    config = transformers.BertConfig(vocab_size=14, max_position_embeddings=32, **SMALL)
    folder, _ = stored(transformers, tmp_path / "bert", config, tokenizer=TOKENIZER)
    mine = encoder(f"folder:{folder}")
    texts = [Text("where is my card"), Text("the lamp")]
    capsys.readouterr()
    expected = network(mine).texts(texts)
    assert capsys.readouterr().err == ""
    write_graph(mine, network(mine), tmp_path / "exported" / "mine.onnx")
    graph = encoder(f"onnx:{tmp_path / 'exported' / 'mine.onnx'}")
    np.testing.assert_allclose(network(graph, "onnx").texts(texts), expected, atol=1e-5)
