"""The content of a task file: tensors and a header.

Features of a frozen encoder are packed without loss; the encoder itself is never in the file, only
the JSON of its kind of input, which names it by digest.
"""

from __future__ import annotations

import math
import zlib
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.rundir import tensor_seal
from quickstudy.inputs import Encoded, InputKind, stored
from quickstudy.inputs.labels import label_to_json
from quickstudy.learner import flatten_state
from quickstudy.nets.traits import architectures

if TYPE_CHECKING:
    from quickstudy.models.adapted import Adapted

TASK_FORMAT: Final = 2
PACKED: Final = "support.packed"
INPUTS: Final = "inputs"


def written(adapted: Adapted, model: bool, inputs: bool | None) -> tuple[dict[str, Tensor], JSON]:
    """The tensors and the header of the file of an adapted model.

    Args:
        adapted: The adapted model.
        model: Whether the weights of the meta-trained model are in it.
        inputs: Whether the examples as people read them are in it; where omitted, texts are, and
            pictures are not.

    Raises:
        UserError: A label cannot be written; or inputs are wanted, and features were handed over.
    """
    kind, learner = adapted.model.preprocess, adapted.model.learner
    tensors = {f"state/{name}": t for name, t in flatten_state(adapted.state).items()}
    about: JSON = {}
    if kind.has_network or adapted.raw is not None:
        tensors[PACKED], about["support"] = _packed(adapted.support_x)
        parts = _inputs(adapted, inputs)
        if parts is not None:
            tensors[INPUTS] = torch.frombuffer(bytearray(b"".join(parts)), dtype=torch.uint8)
            about[INPUTS] = [len(part) for part in parts]
    else:
        tensors["support"] = adapted.support_x
    if model:
        weights = learner.state_dict()
        tensors |= {f"weights/{name}": t for name, t in weights.items()}
    networks = architectures(learner)
    header = {
        "format": TASK_FORMAT,
        "has_model": model,
        "fingerprint": adapted.model.fingerprint,
        **adapted.model.to_json(),
        **({"networks": networks} if networks else {}),
        **({} if kind.runtime is None else {"runtime": kind.runtime}),
        **about,
        "labels": [label_to_json(label) for label in adapted.labels],
    }
    header["sha256"] = tensor_seal(header, tensors)
    return tensors, header


def support_of(tensors: dict[str, Tensor], header: JSON, kind: InputKind) -> Encoded:
    """The examples in a file, encoded, and as people read them where they are in it.

    Raises:
        LookupError, TypeError, ValueError: They are not what the header says.
    """
    parts = parts_of(tensors, header)
    raw = None if parts is None else kind.raw([stored.from_bytes(part) for part in parts], False)
    return Encoded(features_of(tensors, header), raw=raw)


def features_of(tensors: dict[str, Tensor], header: JSON) -> Tensor:
    """The encoded examples in a file.

    Raises:
        LookupError, TypeError, ValueError: They are not what the header says.
    """
    if PACKED not in tensors:
        return tensors["support"]
    shape, dtype = header["support"]["shape"], np.dtype(header["support"]["dtype"])
    n_bytes = math.prod(shape) * dtype.itemsize
    try:
        content = zlib.decompressobj().decompress(tensors[PACKED].numpy().tobytes(), n_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"support that cannot be unpacked: {error}") from error
    if len(content) != n_bytes:
        raise ValueError(f"support of {len(content)} bytes for the shape {shape}")
    rows = np.frombuffer(content, np.uint8).reshape(dtype.itemsize, -1).T
    return torch.from_numpy(np.ascontiguousarray(rows).view(dtype).reshape(shape))


def parts_of(tensors: dict[str, Tensor], header: JSON) -> list[bytes] | None:
    """The examples in a file as `quickstudy.inputs.stored` wrote them; None where they are not.

    Raises:
        TypeError, ValueError: There are not as many as labels.
    """
    if INPUTS not in tensors:
        return None
    content, lengths = tensors[INPUTS].numpy().tobytes(), header[INPUTS]
    if len(lengths) != len(header["labels"]) or sum(lengths) != len(content) or min(lengths) < 0:
        raise ValueError(f"{len(lengths)} inputs of {len(content)} bytes")
    return [content[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]


def _packed(x: Tensor) -> tuple[Tensor, JSON]:
    """Numbers as zlib of their first bytes, their second bytes and so on, and how to read them."""
    numbers = x.detach().cpu().contiguous().numpy()
    by_place = np.ascontiguousarray(numbers.reshape(-1, 1).view(np.uint8).T)
    content = bytearray(zlib.compress(by_place.tobytes(), 9))
    about = {"shape": [*numbers.shape], "dtype": numbers.dtype.name}
    return torch.frombuffer(content, dtype=torch.uint8), about


def _inputs(adapted: Adapted, wanted: bool | None) -> list[bytes] | None:
    """The examples as people read them, as bytes, where they are to be in the file."""
    kind, raw = adapted.model.preprocess, adapted.raw
    if wanted and raw is None:
        raise UserError(
            f"save: inputs are the {kind.modality} of the task; received features alone, or a file "
            "without them; leave inputs=True out, or adapt to the "
            f"{kind.modality} themselves."
        )
    if raw is None or not (kind.writes_raw if wanted is None else wanted):
        return None
    return [stored.to_bytes(kind.plain(value)) for value in raw]
