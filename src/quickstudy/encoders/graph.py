"""`onnx:PATH`: an ONNX graph, and beside it a JSON file that says how inputs are made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders.external_data import external_files
from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.in_parts import by_length
from quickstudy.encoders.named import read_file, sha256_of
from quickstudy.encoders.network import EncoderNetwork, Features, Tokens
from quickstudy.encoders.onnx_export import IDS, MASK
from quickstudy.encoders.onnx_networks import OnnxPictures, OnnxTexts, session
from quickstudy.encoders.text import Text
from quickstudy.encoders.tokenizer import Tokenizer
from quickstudy.errors import DataError, UserError
from quickstudy.files.records import JSON

PREFIX: Final = "onnx:"
TOKENIZER: Final = "tokenizer.json"
TYPES: Final = "token_type_ids"
FIELDS: Final = '{"takes": "pictures", "rule": {"size": 224, ...}}'


def graph_encoder(path: Path) -> Encoder:
    """The encoder of a graph, by the JSON file of its name.

    Raises:
        DataError: A file is missing or cannot be read.
        UserError: The JSON does not say how inputs are made, or the graph takes others.
    """
    about = _about(path)
    takes = about.get("takes")
    try:
        encoder = Encoder.from_json(
            {
                "takes": takes,
                "name": f"{PREFIX}{path.stem}",
                "source": about.get("source", path.name),
                "architecture": "onnx",
                "weights": digest_of(path),
                "n_features": about.get("n_features", 0),
                "rule": {**RULES[takes], **about["rule"]},
                "tokenizer": tokenizer_digest(path) if takes == "texts" else None,
                "licence": about.get("licence", ""),
            }
        )
        if takes == "pictures":
            _ = encoder.picture_rule.shape
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"encoder: {path.with_suffix('.json')} must say how inputs are made, as {FIELDS}; "
            f"received {json.dumps(about):.200} ({type(error).__name__}: {error}); correct it."
        ) from error
    n_features = _checked(path, encoder)
    if encoder.n_features not in (0, n_features):
        raise UserError(
            f"encoder: {path} must give the n_features of its JSON, {encoder.n_features}; received "
            f"a graph that gives {n_features}; correct the JSON."
        )
    return Encoder(**{**vars(encoder), "n_features": n_features, "place": path.resolve()})


RULES: Final[dict[Any, JSON]] = {
    "pictures": {"resize": "squash"},
    "texts": {"max_length": 256, "pooling": "mean", "normalise": True},
}


def digest_of(path: Path) -> str:
    """A sha256 of a graph, and of the files beside it that hold its weights.

    Raises:
        DataError: A file is missing or is no graph, or lies elsewhere.
    """
    digest = sha256_of(path)
    files = external_files(path)
    if not files:
        return digest
    lines = [digest, *(f"{file.name} {sha256_of(file)}" for file in files)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def tokenizer_digest(path: Path) -> str:
    """The sha256 of the tokenizer beside a graph."""
    return sha256_of(path.with_name(TOKENIZER))


def graph_network(encoder: Encoder, path: Path) -> EncoderNetwork:
    """The network of a graph whose digests were checked.

    Raises:
        UserError: ONNX Runtime is missing, or the graph takes or gives something else.
        DataError: It cannot be loaded.
    """
    graph = session(path, encoder.name)
    if encoder.takes == "pictures":
        return OnnxPictures(encoder, graph)
    content = read_file(path.with_name(TOKENIZER))
    tokenizer = Tokenizer(content, encoder.text_rule.max_length, encoder.name)
    if len(graph.get_outputs()[0].shape or ()) == 2:
        return _WholeTexts(encoder, graph, tokenizer)
    return OnnxTexts(encoder, graph, tokenizer)


class _WholeTexts(EncoderNetwork):
    """A graph from token numbers to one vector a text."""

    def __init__(self, encoder: Encoder, graph: Any, tokenizer: Tokenizer) -> None:
        super().__init__(encoder)
        self.tokenizer = tokenizer
        self._states = OnnxTexts(encoder, graph, tokenizer).states

    def tokens(self, texts: Any) -> Tokens:
        return self.tokenizer.counted(texts)

    def texts(self, texts: Any) -> Features:
        if any(text.spans for text in texts) or self.encoder.text_rule.spans:
            raise UserError(
                f"encoder {self.encoder.name}: its graph gives one vector a text; received marked "
                "texts; use a graph that gives the states of tokens (n, tokens, width)."
            )
        return by_length(texts, self.encoder.n_features, self._part)

    def _part(self, texts: list[Text]) -> Features:
        batch = self.tokenizer.encoded([text.text for text in texts])
        z: NDArray[np.float32] = self._states(batch.ids, batch.mask)
        length = np.linalg.norm(z, axis=1, keepdims=True).clip(min=1e-12)
        return z / length if self.encoder.text_rule.normalise else z


def _checked(path: Path, encoder: Encoder) -> int:
    """The number of features that a graph gives, which is asked about two blank inputs.

    Raises:
        UserError: It takes or gives something else.
    """
    graph = session(path, encoder.name)
    inputs, output = graph.get_inputs(), graph.get_outputs()[0]
    signature = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
    if encoder.takes == "pictures":
        shape = encoder.picture_rule.shape
        wanted = f"one input tensor(float) (n, {', '.join(map(str, shape))})"
        fits = [each.type for each in inputs] == ["tensor(float)"]
        values: dict[str, Any] = {inputs[0].name: np.zeros((2, *shape), dtype=np.float32)}
        ranks: tuple[int, ...] = (2,)
    else:
        wanted = f"{IDS}, {MASK} and perhaps {TYPES}, each tensor(int64) (n, tokens)"
        names = {each.name for each in inputs}
        fits = {IDS} <= names <= {IDS, MASK, TYPES}
        fits = fits and {each.type for each in inputs} == {"tensor(int64)"}
        values = {name: np.ones((2, 4), dtype=np.int64) for name in names}
        ranks = (2, 3)
    results = _asked(graph, values) if fits else None
    if results is None:
        raise UserError(
            f"encoder: the graph {path} must take {wanted}; received {signature}; correct the JSON "
            "beside it, or export the graph again."
        )
    if results.dtype != np.float32 or results.ndim not in ranks or len(results) != 2:
        raise UserError(
            f"encoder: the graph {path} must give float32 (n, features)"
            f"{', or (n, tokens, width)' if len(ranks) > 1 else ''} as its first output; received "
            f"{output.name} {results.dtype} {results.shape} for 2 inputs; export it again."
        )
    return int(results.shape[-1])


def _asked(graph: Any, values: dict[str, Any]) -> Any:
    """The first output of a graph; None where it does not take these inputs."""
    try:
        return graph.run(None, values)[0]
    except Exception:  # ONNX Runtime's exceptions share no class but Exception
        return None


def _about(path: Path) -> JSON:
    """The JSON beside a graph."""
    file = path.with_suffix(".json")
    for each in (path, file):
        if not each.is_file():
            raise DataError(
                f"encoder: an ONNX graph needs {path.name} and {file.name}, which says how inputs "
                f"are made, as {FIELDS}; received no file {each}; put it there."
            )
    try:
        about = json.loads(read_file(file))
    except ValueError as error:
        raise DataError(
            f"encoder: {file} must be JSON; received what cannot be read ({error}); correct it."
        ) from error
    if not isinstance(about, dict) or about.get("takes") not in RULES or "rule" not in about:
        raise UserError(
            f"encoder: {file} must say how inputs are made, as {FIELDS}; received "
            f"{json.dumps(about):.200}; correct it."
        )
    return about
