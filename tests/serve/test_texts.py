"""Models behind a frozen encoder: texts and photographs over HTTP, encoded in batches, and once."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import encoded
import numpy as np
import pytest
from encoded import COLOURS, TEXTS, WORDS
from PIL import Image
from served_runs import JSON, Client, b64, listening

from quickstudy.encoders import Text, registry
from quickstudy.errors import UserError
from quickstudy.models.saved import task_from_bytes
from quickstudy.serve.app import create_app
from quickstudy.serve.encoding import FeatureCache
from quickstudy.serve.limits import MAX_TEXT, Limits

TASKS = "/v1/models/sentences/tasks"
MARKED = WORDS.with_spans(2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("encoded")
    return {
        "sentences": encoded.run_of(WORDS, folder / "sentences"),
        "relations": encoded.run_of(MARKED, folder / "relations"),
        "photos": encoded.run_of(COLOURS, folder / "photos"),
    }


@pytest.fixture
def words() -> Any:
    return encoded.loaded(WORDS)


@pytest.fixture
def client(words: Any, client_of: Callable[..., Client]) -> Client:
    return client_of("sentences")


def taught(n_each: int = 3, classes: tuple[str, ...] = ("weather", "alarm")) -> list[JSON]:
    return [{"label": c, "text": text} for c in classes for text in TEXTS[c][:n_each]]


def test_a_task_of_sentences_is_taught_asked_and_read_back(client: Client) -> None:
    made = client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
    assert made.status_code == 201
    assert made.json()["notes"] == []
    query = [{"text": "will it snow outside today"}, {"text": "set the alarm for me please"}]
    answer = client.post(f"{TASKS}/mine:predict", json={"query": query}).json()
    assert [p["label"] for p in answer["predictions"]] == ["weather", "alarm"]
    longer = client.post(f"{TASKS}/mine/examples", json={"examples": taught(2, ("money",))})
    assert [c["label"] for c in longer.json()["classes"]] == ["weather", "alarm", "money"]
    full = client.get(f"{TASKS}/mine?view=FULL").json()
    assert [e["input"] for e in full["examples"]][-1] == {"text": TEXTS["money"][1]}
    why = client.post(f"{TASKS}/mine:explain", json={"query": {"text": "pay ada"}}).json()
    assert why["target"] == "money"
    assert {n["id"] for n in why["nearest"]} <= {e["id"] for e in full["examples"]}
    labelled = [{"label": "money", "text": "pay the bill"}]
    measured = client.post(f"{TASKS}/mine:evaluate", json={"query": labelled}).json()
    assert measured["value"] == 1
    assert len(client.post(f"{TASKS}/mine:map", json={"query": query}).json()["points"]) == 10
    png = client.get(f"{TASKS}/mine/examples/e1/image")
    assert png.status_code == 404


def test_the_card_says_what_the_encoder_is(client: Client) -> None:
    card = client.get("/v1/models/sentences").json()
    assert (card["modality"], card["x_shape"]) == ("texts", [encoded.WIDTH])
    about = card["encoder"]
    assert (about["name"], about["licence"], about["max_tokens"]) == ("words", "CC0", 12)
    assert about["digest"] == WORDS.digest
    assert card["limits"]["text_characters"] == MAX_TEXT


@pytest.mark.parametrize(
    ("query", "pointer", "says"),
    [
        ({"text": "x" * (MAX_TEXT + 1)}, "/query/1/text", f"at most {MAX_TEXT} characters"),
        ({"text": "  "}, "/query/1", "at least one letter"),
        (
            {"text": "one", "values": [1.0]},
            "/query/1",
            "exactly one of image, row, text, series, item, smiles, values",
        ),
        ({"spans": [[0, 1]]}, "/query/1", "exactly one of"),
        ({"values": [1.0] * encoded.WIDTH, "spans": [[0, 1]]}, "/query/1", "expected a text"),
        ({"text": "one", "spans": [[0, 1]]}, "/query/1", "0 marked span"),
        ({"text": "one", "spans": [[2, 9]]}, "/query/1", "at most the length of the text"),
        ({"image": {"b64": ""}}, "/query/1", "takes texts; received an image"),
        ({"row": {"a": 1}}, "/query/1", "takes texts; received a row"),
        ({"values": [1.0]}, "/query/1", "shape"),
    ],
)
def test_an_input_that_is_no_text_is_named(
    client: Client, query: JSON, pointer: str, says: str
) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
    body = {"query": [{"text": "wake me"}, query, {"text": "wake me up"}]}
    reply = client.post(f"{TASKS}/mine:predict", json=body)
    assert reply.status_code == 422
    problem = reply.json()
    assert says in problem["detail"]
    assert problem["errors"][0]["pointer"] == pointer


def marked(n: int) -> list[JSON]:
    return [{"text": f"ada met bo{i} in berlin", "spans": [[0, 3], [8, 11]]} for i in range(n)]


def test_entities_are_marked_and_one_of_many_that_share_a_pass_is_named(
    client_of: Callable[..., Client],
) -> None:
    encoded.loaded(MARKED)
    client = client_of("relations")
    texts = marked(5)
    support = [{"label": "ab"[i % 2], **each} for i, each in enumerate(texts)]
    made = client.post("/v1/models/relations/tasks?task_id=mine", json={"support": support})
    assert made.status_code == 201
    full = client.get("/v1/models/relations/tasks/mine?view=FULL").json()
    assert [e["input"] for e in full["examples"]] == texts
    support[3]["spans"] = [[0, 3]]
    wrong = client.post("/v1/models/relations:predict", json={"support": support, "query": texts})
    assert wrong.json()["errors"][0]["pointer"] == "/support/3"
    rows = [json.dumps(text) for text in texts]
    body = {"inputs": [{"name": "query", "shape": [5], "datatype": "BYTES", "data": rows}]}
    inferred = client.post("/v2/models/task.mine/infer", json=body).json()["outputs"]
    said = client.post("/v1/models/relations/tasks/mine:predict", json={"query": texts}).json()
    assert inferred[0]["data"] == [p["label"] for p in said["predictions"]]


def test_texts_are_bytes_in_kserve(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
    about = client.get("/v2/models/task.mine").json()["inputs"]
    assert about == [{"name": "query", "datatype": "BYTES", "shape": [-1]}]
    texts = ["wake me at ten", '{"rain"} töday', "AAAA"]  # the last might be base64
    body = {"inputs": [{"name": "query", "shape": [3], "datatype": "BYTES", "data": texts}]}
    inferred = client.post("/v2/models/task.mine/infer", json=body).json()["outputs"][1]["data"]
    query = {"query": [{"text": text} for text in texts]}
    said = client.post(f"{TASKS}/mine:predict", json=query).json()["predictions"]
    assert inferred == [score for p in said for score in p["scores"].values()]
    parts = [struct.pack("<I", len(text.encode())) + text.encode() for text in texts]
    binary = {"binary_data_size": len(b"".join(parts))}
    tensor = {"name": "query", "shape": [3], "datatype": "BYTES", "parameters": binary}
    head = json.dumps({"inputs": [tensor]}).encode()
    reply = client.post(
        "/v2/models/task.mine/infer",
        content=head + b"".join(parts),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert reply.json()["outputs"][1]["data"] == inferred
    support = {"shape": [6], "datatype": "BYTES"}
    examples = taught()
    learned = client.post(
        "/v2/models/sentences/infer",
        json={
            "inputs": [
                *body["inputs"],
                {"name": "support", "data": [e["text"] for e in examples], **support},
                {"name": "labels", "data": [e["label"] for e in examples], **support},
            ]
        },
    )
    assert learned.json()["outputs"][1]["data"] == pytest.approx(inferred, abs=1e-6)


def photo(colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (40, 30)) -> JSON:
    noise = np.random.default_rng(seed).integers(-40, 40, (size[1], size[0], 3))
    out = io.BytesIO()
    Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return b64(out.getvalue())


def test_photographs_pass_through_the_encoder(client_of: Callable[..., Client]) -> None:
    colours = encoded.loaded(COLOURS)
    client = client_of("photos")
    url = "/v1/models/photos/tasks"
    card = client.get("/v1/models/photos").json()
    assert (card["modality"], card["drawings"]) == ("pictures", False)
    assert card["encoder"]["max_tokens"] is None
    support = [
        {"label": label, **photo(colour, seed)}
        for label, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200)))
        for seed in range(3)
    ]
    assert client.post(f"{url}?task_id=mine", json={"support": support}).status_code == 201
    assert len(colours.sizes) == 6  # alone: a pass of several gains nothing
    query = [photo((190, 60, 30), 9), photo((60, 30, 220), 8)]
    said = client.post(f"{url}/mine:predict", json={"query": query}).json()["predictions"]
    assert [p["label"] for p in said] == ["red", "blue"]
    client.post(f"{url}/mine/examples", json={"examples": [{"label": "red", **query[0]}]})
    assert len(colours.sizes) == 8
    png = client.get(f"{url}/mine/examples/e7/image")
    assert Image.open(io.BytesIO(png.content)).size == (40, 30)
    files = [("file", ("a.png", png.content, "image/png"))]
    form = client.post(f"{url}/mine:predict", files=files).json()["predictions"]
    again = client.post(f"{url}/mine:predict", json={"query": query[:1]}).json()["predictions"]
    assert form == again
    assert len(colours.sizes) == 8
    too_many = client.post(f"{url}/mine:predict", json={"query": [{"text": "a red one"}]})
    assert "takes pictures; received a text" in too_many.json()["detail"]
    big = client_of("photos", limits=Limits(request_pixels=2000))
    assert big.post(f"{url}/mine:predict", json={"query": query}).status_code == 422


def test_texts_of_one_length_share_passes_and_are_encoded_once(words: Any, client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
    words.sizes.clear()
    query = [{"text": f"is it {word} today"} for word in "abcdefghijklmnopqrs"]
    first = client.post(f"{TASKS}/mine:predict", json={"query": query}).json()
    # 19 of 4 words: 16 and a trial of the first and the last, 2 and a trial, and 1.
    assert words.sizes == [16, 1, 1, 2, 1, 1, 1]
    words.sizes.clear()
    again = client.post(f"{TASKS}/mine:predict", json={"query": query[::-1]}).json()
    assert words.sizes == []
    assert again["predictions"] == first["predictions"][::-1]
    example = {"label": "alarm", "text": query[3]["text"]}
    client.post(f"{TASKS}/mine/examples", json={"examples": [example]})
    assert words.sizes == []


def test_where_bits_depend_on_the_pass_each_is_encoded_alone(
    client: Client, words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = words.texts

    def uneven(texts: Any) -> Any:
        return exact(texts) + np.float32(1e-3 * (len(texts) - 1))

    monkeypatch.setattr(words, "texts", uneven)
    client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
    query = [{"text": f"is it {word} today"} for word in "abcd"]
    together = client.post(f"{TASKS}/mine:predict", json={"query": query}).json()
    client.app.state.server.tasks.encoding.cache._rows.clear()
    for one, expected in zip(query, together["predictions"], strict=True):
        alone = client.post(f"{TASKS}/mine:predict", json={"query": [one]}).json()
        assert alone["predictions"] == [expected]


def test_a_task_says_how_unlike_all_that_it_was_taught_a_text_is(client: Client) -> None:
    support = [
        {"label": label, "text": f"{words} {filler}"}
        for label, words in encoded.ALIKE.items()
        for filler in "wxyz"
    ]
    client.post(f"{TASKS}?task_id=mine", json={"support": support})
    query = {"query": [{"text": "pay my bill x"}, {"text": "colourless ideas sleep badly"}]}
    said = client.post(f"{TASKS}/mine:predict", json=query).json()["predictions"]
    assert said[0]["novelty"] < 1 < said[1]["novelty"]
    client.post(f"{TASKS}?task_id=few", json={"support": taught()})
    said = client.post(f"{TASKS}/few:predict", json=query).json()["predictions"]
    assert [p["novelty"] for p in said] == [None, None]


def test_there_is_a_task_of_messages_to_try(client: Client) -> None:
    made = client.post("/v1/models/sentences/tasks:example").json()
    assert [c["shots"] for c in made["classes"]] == [5] * 4
    assert len(made["suggested_queries"]) == 8
    query = {"query": made["suggested_queries"]}
    answer = client.post(f"/v1/models/sentences/tasks/{made['id']}:predict", json=query)
    assert answer.status_code == 200


def test_the_cache_of_features_is_bounded() -> None:
    cache = FeatureCache(3 * 8)
    for i in range(4):
        cache.put(("kind", bytes([i])), np.zeros(1))
        cache.get(("kind", b"\0"))
    assert cache.bytes == 24
    assert cache.get(("kind", b"\1")) is None  # the least recently used
    assert cache.get(("kind", b"\0")) is not None


def test_a_text_that_is_cut_is_told(client: Client) -> None:
    long = {"label": "alarm", "text": "wake me " * 8}
    made = client.post(f"{TASKS}?task_id=mine", json={"support": [*taught(), long]}).json()
    assert len(made["notes"]) == 1
    assert "the longest has 18" in made["notes"][0]
    assert client.get(f"{TASKS}/mine").json()["notes"] == []
    query = {"query": [{"text": "rain " * 20}, {"text": "rain"}]}
    assert (
        "the longest has 22" in client.post(f"{TASKS}/mine:predict", json=query).json()["notes"][0]
    )
    once = client.post("/v1/models/sentences:predict", json={"support": taught(), **query}).json()
    assert len(once["notes"]) == 1


def test_a_file_of_a_task_holds_its_texts_and_brings_them_back(words: Any, client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
    query = {"query": [{"text": "wake me at ten"}]}
    said = client.post(f"{TASKS}/mine:predict", json=query).json()["predictions"]
    file = client.get(f"{TASKS}/mine:export").content
    assert taught()[0]["text"].encode() in file
    headers = {"Content-Type": "application/octet-stream"}
    made = client.post(f"{TASKS}:import", content=file, headers=headers).json()
    full = client.get(f"{TASKS}/{made['id']}?view=FULL").json()
    assert [e["input"]["text"] for e in full["examples"]] == [e["text"] for e in taught()]
    again = client.post(f"{TASKS}/{made['id']}:predict", json=query).json()["predictions"]
    assert again == said
    bare = task_from_bytes(file, "x").to_bytes(inputs=False)
    of_features = client.post(f"{TASKS}:import", content=bare, headers=headers).json()
    url = f"{TASKS}/{of_features['id']}"
    assert client.post(f"{url}:predict", json=query).json()["predictions"] == said
    assert [*client.get(f"{url}?view=FULL").json()["examples"][0]["input"]] == ["values"]
    assert task_from_bytes(client.get(f"{url}:export").content, "x").raw is None


def test_a_file_whose_texts_the_server_would_not_take_is_refused(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
    adapted = task_from_bytes(client.get(f"{TASKS}/mine:export").content, "x")
    assert adapted.raw is not None
    long = adapted.with_raw([*adapted.raw[:-1], Text("x" * (MAX_TEXT + 1))]).to_bytes()
    headers = {"Content-Type": "application/octet-stream"}
    reply = client.post(f"{TASKS}:import", content=long, headers=headers)
    assert (reply.status_code, f"at most {MAX_TEXT}" in reply.json()["detail"]) == (422, True)


def test_a_restart_reads_the_texts_from_the_database(
    words: Any, runs: dict[str, Path], tmp_path: Path
) -> None:
    database, query = f"sqlite:///{tmp_path / 'x.db'}", {"query": [{"text": "wake me at ten"}]}
    answers = []
    for _ in range(2):
        with listening(create_app([runs["sentences"]], database)) as client:
            client.post(f"{TASKS}?task_id=mine", json={"support": taught()})
            answers.append(client.post(f"{TASKS}/mine:predict", json=query).json()["predictions"])
    assert answers[0] == answers[1]


def test_ten_models_share_one_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []

    def load(encoder: Any) -> Any:
        loads.append(encoder.name)
        return encoded.Words(encoder)

    monkeypatch.setattr(registry, "_networks", {})
    monkeypatch.setattr(registry, "torch_network", load)
    copies = [encoded.run_of(WORDS, tmp_path / f"own{i}", steps=1 + i) for i in range(10)]
    create_app(copies, f"sqlite:///{tmp_path / 'x.db'}")
    assert loads == ["words"]


def test_a_server_whose_encoder_has_no_package_does_not_start(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(encoder: Any) -> Any:
        raise UserError("encoder words: needs the package words; received none; pip install words.")

    monkeypatch.setattr(registry, "_networks", {})
    monkeypatch.setattr(registry, "torch_network", load)
    with pytest.raises(UserError, match="pip install words"):
        create_app([runs["sentences"]], f"sqlite:///{tmp_path / 'x.db'}")
