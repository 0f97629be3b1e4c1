"""Keras models as networks. Importing this module before Keras makes Keras run on PyTorch."""

from __future__ import annotations

import os
import re
from typing import Any

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError

os.environ.setdefault("KERAS_BACKEND", "torch")
try:
    import keras
except ImportError as error:
    raise UserError(
        "KerasNet: needs the package keras, version 3; received an environment without it; run "
        "pip install 'quickstudy[keras]'."
    ) from error


class KerasNet(nn.Module):
    """A Keras 3 model as a network of any learner.

    The adapter's parameters are the model's own variables, so that the model is meta-trained in
    place. They are named by their place in the model and by their layer, as `0_conv2d_kernel`,
    without the numbers that Keras adds to the names of layers. Losses that layers add, such as
    weight decay, are left out.

    Args:
        model: A built model of one input and one output, with the backend torch. Pictures come to
            it in the channel order of its layers.

    Shapes:
        x (examples, *x); pictures as (examples, channels, height, width) -> what the model gives.

    Properties: float32 only; not vmappable where the model has a channels-last layer.

    Raises:
        UserError: Another backend, a model that is not built, a layer that changes its variables
            when it is called, such as BatchNormalization, or another precision than float32.

    Example:
        >>> layers = [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(5)]
        >>> net = KerasNet(keras.Sequential([keras.Input((6,)), *layers]))
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        if keras.backend.backend() != "torch":
            raise UserError(
                "KerasNet: needs Keras on the backend torch; received the backend "
                f"{keras.backend.backend()}; set the environment variable KERAS_BACKEND=torch, or "
                "import quickstudy.nets.keras_net before keras."
            )
        if not (model.built and model.weights):
            raise UserError(
                f"KerasNet: {model.name} has no variables yet; received a model that is not built; "
                "start it with keras.Input(shape), or call it once."
            )
        layers = model._flatten_layers()
        for layer in layers:
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
                raise self._changing("BatchNormalization", layer.path)
        self._model = (model,)  # In a tuple, so that it is not registered a second time.
        place = {id(v): i for i, v in enumerate(model.variables)}

        def name(variable: Any) -> str:
            parts = variable.path.split("/")[-2:]
            return "_".join([str(place[id(variable)]), *(re.sub(r"_\d+$", "", p) for p in parts)])

        self._trained = [name(v) for v in model.trainable_variables]
        self._fixed = [name(v) for v in model.non_trainable_variables]
        for key, variable in zip(self._trained, model.trainable_variables, strict=True):
            self.register_parameter(key, variable.value)
        for key, variable in zip(self._fixed, model.non_trainable_variables, strict=True):
            self.register_buffer(key, variable.value.detach())
        shape = getattr(model, "output_shape", None)
        if isinstance(shape, tuple) and isinstance(shape[-1], int):
            self.n_features = shape[-1]
        orders = [layer.data_format for layer in layers if hasattr(layer, "data_format")]
        self.data_format = (orders or [keras.config.image_data_format()])[0]
        self.vmappable = "channels_last" not in orders

    def forward(self, x: Tensor) -> Tensor:
        trained, fixed = ([getattr(self, n) for n in ns] for ns in (self._trained, self._fixed))
        dtypes = {t.dtype for t in (x, *trained)}
        if dtypes != {torch.float32}:
            raise UserError(
                "KerasNet: inputs and variables must be float32, as Keras multiplies matrices in "
                f"no other precision; received {', '.join(sorted(map(str, dtypes)))}; train in "
                "float32 and leave the dtype policy of Keras at float32."
            )
        if x.ndim == 4 and self.data_format == "channels_last":
            x = x.permute(0, 2, 3, 1)
        with keras.device(str(x.device)):
            out, fixed_after = self._model[0].stateless_call(
                trained, fixed, x, training=self.training
            )
        for key, before, now in zip(self._fixed, fixed, fixed_after, strict=True):
            if now is not before:
                raise self._changing("a layer", key)
        return out

    def _changing(self, what: str, name: str) -> UserError:
        return UserError(
            f"KerasNet: {what} {name!r} changes its variables when it is called, and one task "
            "would change them for the next; replace it by GroupNormalization or "
            "LayerNormalization, or by Dropout without a seed where it draws random numbers."
        )
