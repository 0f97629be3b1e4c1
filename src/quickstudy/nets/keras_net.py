"""Keras models as networks. Importing this module before Keras makes Keras run on PyTorch."""

from __future__ import annotations

import copy
import json
import os
import re
import warnings
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call, vjp, vmap

from quickstudy.errors import UserError
from quickstudy.nets.second_order import plain_attention, transformed

os.environ.setdefault("KERAS_BACKEND", "torch")
try:
    import keras
except ImportError as error:
    raise UserError(
        "KerasNet: needs the package keras, version 3; received an environment without it; run "
        "pip install 'quickstudy[keras]'."
    ) from error

CONTAINERS = ("Functional", "Sequential", "InputLayer")
"""Layers that compute nothing of their own, whatever their dtype policy."""
UNSAID = re.compile(
    "trainable|build_config|compile_config|registered_name|shared_object_id|module|dtype|seed|"
    "quantization_config|.*_(initializer|regularizer|constraint)"
)
"""Entries of a layer's configuration that change no answer of a model that is loaded."""
TRIED = 32
"""Size of the axes that a model leaves open, when it is tried."""


class KerasNet(nn.Module):
    """A Keras 3 model as a network of any learner.

    The adapter's parameters are the model's own variables, so that the model is meta-trained in
    place. They are named by their place in the model and by their layer, as `0_conv2d_kernel`,
    without the numbers that Keras adds to the names of layers. Losses that layers add, such as
    weight decay, are left out. Layers that draw random numbers draw them by torch's seed, so that
    runs resume, whatever seed they have.

    Args:
        model: A built model of one input and one output, with the backend torch. Pictures come to
            it in the order of its input's shape: as they are where they fit, else channels last.

    Attributes:
        data_format: The order of channels of its layers, for pictures that fit in either order.

    Shapes:
        x (examples, *x); pictures as (examples, channels, height, width) -> what the model gives.

    Properties: float32 only. It is tried when it is made, and is not vmappable where vmap fails or
    gives other answers, as with channels-last convolutions.

    Raises:
        UserError: Another backend, a model that is not built, several inputs, another precision
            than float32, or a layer that changes its variables when it is called.

    Example:
        >>> layers = [keras.layers.Dense(32, activation="relu"), keras.layers.Dense(5)]
        >>> net = KerasNet(keras.Sequential([keras.Input((6,)), *layers]))
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        _check(model)
        layers = model._flatten_layers()
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
        shape = getattr(model, "input_shape", None)
        self.input_shape: tuple[int | None, ...] | None = shape and tuple(shape[1:])
        self.architecture = architecture(model)
        self.stochastic = any(map(_is_seed, model.non_trainable_variables))
        self.vmappable = False
        if self.input_shape is not None:
            self._try(self.input_shape)

    def forward(self, x: Tensor) -> Tensor:
        dtypes = {t.dtype for t in (x, *self.parameters())}
        if dtypes != {torch.float32}:
            raise UserError(
                "KerasNet: inputs and variables must be float32, as Keras multiplies matrices in "
                f"no other precision; received {', '.join(sorted(map(str, dtypes)))}; train in "
                "float32 and leave the dtype policy of Keras at float32."
            )
        return self._call(self._arranged(x), self.training)[0]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with parameters of its own; the Keras model, which no call changes, is shared."""
        memo[id(self._model[0])] = self._model[0]
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        other.__dict__ = copy.deepcopy(self.__dict__, memo)
        return other

    def _arranged(self, x: Tensor) -> Tensor:
        """Inputs in the order of the model's input."""
        channels_last = x.movedim(1, -1) if x.ndim > 3 else x
        if self.input_shape is None:
            return channels_last if self.data_format == "channels_last" else x
        orders = [t for t in (x, channels_last) if _fits(t.shape[1:], self.input_shape)]
        if not orders:
            permuted = f", {tuple(channels_last.shape[1:])} when permuted" if x.ndim > 3 else ""
            raise UserError(
                f"KerasNet: inputs must have the shape that {self._model[0].name} takes, "
                f"{self.input_shape}; received {tuple(x.shape[1:])}{permuted}; give keras.Input "
                "the shape of the inputs, or prepare them at that size."
            )
        return orders[0 if len(orders) == 1 or self.data_format == "channels_first" else 1]

    def _call(self, x: Tensor, training: bool) -> tuple[Tensor, bool]:
        """The model's answer with the parameters of this module; whether a layer drew a seed.

        Raises:
            UserError: A layer changes its variables.
        """
        model = self._model[0]
        named = (*zip(model.trainable_variables, self._trained, strict=True),)
        trained = [(variable, getattr(self, name)) for variable, name in named]
        named = (*zip(model.non_trainable_variables, self._fixed, strict=True),)
        fixed = [(variable, getattr(self, name)) for variable, name in named]
        if training and self.stochastic:
            # A counter would draw the same numbers for each task.
            fixed = [(v, _drawn(t) if _is_seed(v) else t) for v, t in fixed]
        with keras.device(str(x.device)), _Scope(state_mapping=[*trained, *fixed]) as scope:
            out = model(x, training=training)
        before = {id(v): t for v, t in (*trained, *fixed)}
        drew = False
        for variable, value in scope.updates:
            if _is_seed(variable):
                drew = True
            elif not transformed():
                known = before.get(id(variable))  # None of the state of a recurrent layer
                if known is None or not torch.equal(known, value):
                    raise self._changing(variable)
        return out, drew

    def _changing(self, variable: Any) -> UserError:
        layers = [*self._model[0]._flatten_layers()][::-1]
        owners = [each for each in layers if any(variable is v for v in each.variables)]
        owners = owners or [each for each in layers if getattr(each, "stateful", False)] or layers
        layer = min(owners, key=lambda layer: len(layer.variables))
        if isinstance(layer, keras.layers.BatchNormalization):
            advice = "freeze it (layer.trainable = False), or replace it by GroupNormalization or "
            advice += "LayerNormalization"
        elif getattr(layer, "stateful", False):
            advice = "make it with stateful=False"
        else:
            advice = "replace it by a layer that keeps nothing between calls"
        return UserError(
            f"KerasNet: {type(layer).__name__} {layer.path!r} changes its variables when it is "
            f"called, and one task would change them for the next; received {variable.path!r} "
            f"with other values after a call; {advice}."
        )

    def _try(self, input_shape: tuple[int | None, ...]) -> None:
        """Calls the model on random numbers: what it changes, whether it draws, and under vmap."""
        shape = [TRIED if n is None else n for n in input_shape]
        seeded, self.stochastic = self.stochastic, False
        at = next(iter((*self.parameters(), *self.buffers()))).device
        with (
            torch.random.fork_rng(devices=[at] if at.type == "cuda" else []),
            warnings.catch_warnings(),
            plain_attention(),
        ):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", message="There is a performance drop")
            torch.manual_seed(0)
            x = torch.rand(2, 2, *shape, device=at)
            try:
                with torch.no_grad():
                    self._call(x[0], training=False)
                    before = _random_state(at)
                    _, drew = self._call(x[0], training=True)
                    self.stochastic = drew or not torch.equal(_random_state(at), before)
                self.vmappable = self._runs_under_vmap(x)
            except UserError:
                raise
            except Exception:  # Whatever Keras raises at a size that was guessed, or under vmap.
                self.stochastic = self.stochastic or seeded

    def _runs_under_vmap(self, x: Tensor) -> bool:
        """Whether vmap gives the answers and gradients of a loop, in training and outside of it."""
        free = {name: p.detach() for name, p in self.named_parameters()}

        def slope(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
            loss, pullback = vjp(lambda p: functional_call(self, p, (x,)).square().sum(), free)[:2]
            return loss, pullback(torch.ones_like(loss))[0]

        training = self.training
        try:
            self.train()
            vmap(slope, randomness="different")(x)
            self.eval()
            mapped, slopes = vmap(slope, randomness="different")(x)
            looped = [slope(each) for each in x]
        finally:
            self.train(training)
        return all(
            _close(mapped[i], loss) and all(_close(slopes[n][i], g) for n, g in gradients.items())
            for i, (loss, gradients) in enumerate(looped)
        )


class _Scope(keras.StatelessScope):  # type: ignore[misc]
    """Variables with values of a call's own, and the list of what layers assigned to them."""

    def __init__(self, **mapping: Any) -> None:
        super().__init__(**mapping)
        self.updates: list[tuple[Any, Tensor]] = []

    def add_update(self, update: tuple[Any, Tensor]) -> None:
        self.updates.append(update)
        super().add_update(update)


def architecture(model: Any) -> dict[str, Any]:
    """The layers of a Keras model and their settings, as far as they change answers."""
    names = {layer.name: f"#{i}" for i, layer in enumerate(model._flatten_layers())}

    def plain(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            if value.get("class_name") == "__lambda__" or [*value] == ["value"]:
                return "lambda"  # its bytes are those of one version of Python, and one file
            return {k: plain(v, k) for k, v in value.items() if not UNSAID.fullmatch(k)}
        if isinstance(value, list | tuple):
            return [plain(each, key) for each in value]
        if key in ("name", "keras_history", "input_layers", "output_layers"):
            return names.get(value, value)
        return value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lambdas, which are not kept
        try:
            config = model.get_config()
            if "layers" not in config:
                inside = [*model._flatten_layers(include_self=False)]
                config = {
                    "layers": [
                        {"class_name": type(layer).__name__, "config": layer.get_config()}
                        for layer in inside
                    ]
                }
        except (NotImplementedError, TypeError, ValueError):  # of a layer that does not say
            config = {}
    description = {"class_name": type(model).__name__, **plain(config)}
    return dict(json.loads(json.dumps(description, default=lambda value: type(value).__name__)))


def _check(model: Any) -> None:
    """Raises UserError for a model that cannot be a network of one tensor in float32."""
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
    shape = getattr(model, "input_shape", None)
    if shape is not None and not (isinstance(shape, tuple) and isinstance(shape[-1], int | None)):
        raise UserError(
            f"KerasNet: {model.name} must have one input; received one of shapes {shape}; make a "
            "model that takes its inputs apart from one."
        )
    for layer in model._flatten_layers():
        policy = layer.dtype_policy
        types = {policy.compute_dtype, policy.variable_dtype}
        other = {t for t in types if "float" in str(t)} - {"float32"}
        if (other or policy.quantization_mode) and type(layer).__name__ not in CONTAINERS:
            raise UserError(
                f"KerasNet: layers must compute in float32, as the inner and the outer loop do; "
                f"received {type(layer).__name__} {layer.path!r} of the policy {policy.name}; make "
                "it with dtype='float32', or set keras.config.set_dtype_policy('float32') before "
                "the model is made or loaded."
            )


def _is_seed(variable: Any) -> bool:
    """Whether a variable counts the draws of a layer."""
    return bool(variable.path.endswith("seed_generator_state"))


def _drawn(seed: Tensor) -> Tensor:
    """Another seed, by torch's random numbers."""
    return torch.randint(2**31 - 1, seed.shape, device=seed.device).to(seed.dtype)


def _random_state(device: torch.device) -> Tensor:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.get_rng_state()


def _fits(shape: torch.Size, wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        n is None or n == m for n, m in zip(wanted, shape, strict=True)
    )


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal up to rounding."""
    return torch.allclose(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()) + 1e-6)
