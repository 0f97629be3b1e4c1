"""The settings of meta-training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from inspect import formatannotation
from typing import Any, Literal

import torch
from torch import Tensor

from quickstudy.batching.batch import Batching, to_channels_last
from quickstudy.errors import UserError, above, at_least
from quickstudy.evaluation.scores import CALIBRATION_TASKS
from quickstudy.learner import AnyLearner
from quickstudy.nets.products import Linear
from quickstudy.nets.second_order import Conv2d
from quickstudy.tasks.source import LARGEST_SEED
from quickstudy.training.signatures import Signature, fitted

Schedule = Literal["constant", "cosine", "linear", "halve"]
Precision = Literal["float32", "float64"]
COUNTS = (
    *("steps", "meta_batch", "valid_every", "halve_every", "patience"),
    *("checkpoint_every", "max_bad_steps", "chunk_size"),
)
HALVE_EVERY = 2000
ONLY_WITH = {"halve_every": "schedule halve", "chunk_size": "batching vmap or auto"}


@dataclass(frozen=True)
class Training:
    """Settings of the outer loop.

    Args:
        steps: Outer steps at most.
        meta_batch: Tasks of an outer step.
        outer_optimizer: Name of an optimizer in `torch.optim`.
        outer_lr: Its step size at the start.
        optimizer_options: Its other options.
        schedule: How the step size goes on: `"constant"`, `"cosine"` to zero at `steps`, `"linear"`
            to zero at `steps`, or `"halve"` every `halve_every` steps.
        halve_every: Steps between halvings.
        clip: Largest norm of the meta-gradient; None for no clipping.
        valid_every: Outer steps between validations.
        valid_tasks: Meta-valid tasks of a validation, always the same; 0 for no validation, after
            which the last weights are kept.
        valid_n_way: Ways of these tasks; as in meta-training where omitted.
        patience: Validations without improvement after which training stops; None for no limit.
        target: Validation accuracy (or mean squared error) at which training stops.
        minutes: Wall-clock minutes at most.
        checkpoint_every: Outer steps between checkpoints; at each validation where omitted.
        max_bad_steps: Outer steps in a row without one finite task after which training fails.
        batching: How a meta-batch is computed; see `quickstudy.batching.batch`.
        chunk_size: Tasks vectorised at a time.
        compile: Whether steps that have run for ten seconds are compiled by `torch.compile`, which
            takes a C++ compiler and, the first time, minutes; later runs of the same shapes find
            the code in torch's cache (`TORCHINDUCTOR_CACHE_DIR`). For long meta-trainings of small
            networks. A resumed run then equals the whole one up to rounding only.
        dtype: Floating-point type of parameters and inputs.
        bf16: Whether convolutions and transformers multiply in bfloat16 in meta-training, those of
            `quickstudy.nets` only; validation and what is saved stay in `dtype`, which must be
            float32. Faster on a GPU, and on processors with instructions for it, such as AVX-512
            BF16.
        device: Such as `"cpu"` or `"cuda"`; CUDA where there is one if omitted.
        data_workers: Processes that draw meta-batches ahead of time, so that a GPU need not wait
            for them; 0 for none. With a fused optimizer (`optimizer_options`) no step waits.
        tensorboard: Whether metrics are written for TensorBoard too.
        seed: Seed of randomness inside a learner.
        pooled: Share of the steps for which one model for all tasks is trained afterwards, without
            adapting; it is kept beside the run's weights and is a rung of its evaluations. None for
            no such model. For tasks whose outputs mean the same in every task.

    Example:
        >>> training = qs.Training(steps=2, valid_tasks=2, outer_optimizer="SGD")
        >>> qs.train(learner, tasks, training, show=False).step
        2
    """

    steps: int = 2000
    meta_batch: int = 4
    outer_optimizer: str = "Adam"
    outer_lr: float = 1e-3
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    schedule: Schedule = "constant"
    halve_every: int = HALVE_EVERY
    clip: float | None = None
    valid_every: int = 250
    valid_tasks: int = 100
    valid_n_way: int | None = None
    patience: int | None = None
    target: float | None = None
    minutes: float | None = None
    checkpoint_every: int | None = None
    max_bad_steps: int = 10
    batching: Batching = "auto"
    chunk_size: int | None = None
    compile: bool = False
    dtype: Precision = "float32"
    bf16: bool = False
    device: str | None = None
    data_workers: int = 0
    tensorboard: bool = False
    seed: int = 0
    pooled: float | None = None

    def __post_init__(self) -> None:
        for option in Signature(type(self)).options():
            value = getattr(self, option.name)
            try:
                object.__setattr__(self, option.name, fitted(value, option.type))
            except ValueError as error:
                raise UserError(
                    f"Training: {option.name} must be {formatannotation(option.type)}; received "
                    f"{value!r:.200}; correct it."
                ) from error
        at_least("Training", 1, **{name: getattr(self, name) for name in COUNTS})
        at_least("Training", 2, valid_n_way=self.valid_n_way)
        at_least("Training", 0, valid_tasks=self.valid_tasks, minutes=self.minutes)
        at_least("Training", 0, seed=self.seed, data_workers=self.data_workers)
        above("Training", 0, outer_lr=self.outer_lr, clip=self.clip, pooled=self.pooled)
        if self.seed > LARGEST_SEED:
            raise UserError(
                f"Training: seed must be at most {LARGEST_SEED}; received {self.seed}; choose a "
                "smaller one."
            )
        if self.steps * self.meta_batch > CALIBRATION_TASKS:
            raise UserError(
                f"Training: steps times meta_batch must be at most 2**40, from which on tasks are "
                f"those of the population statistics; received {self.steps} and "
                f"{self.meta_batch}; lower one of them."
            )
        self._check_together()
        if self.bf16 and self.dtype != "float32":
            raise UserError(
                f"Training: bf16 is for dtype float32; received dtype {self.dtype}; leave one of "
                "them out."
            )

    def _check_together(self) -> None:
        """Refuses options that have no effect beside the others."""
        needs = (
            ("halve_every", self.halve_every != HALVE_EVERY, self.schedule == "halve"),
            ("chunk_size", self.chunk_size is not None, self.batching != "loop"),
            ("patience", self.patience is not None, self.valid_tasks > 0),
            ("target", self.target is not None, self.valid_tasks > 0),
            ("valid_n_way", self.valid_n_way is not None, self.valid_tasks > 0),
        )
        for name, asked, effective in needs:
            if asked and not effective:
                need = ONLY_WITH.get(name, "a validation")
                raise UserError(
                    f"Training: {name} has an effect only with {need}; received {name} "
                    f"{getattr(self, name)} and schedule {self.schedule}, batching "
                    f"{self.batching}, valid_tasks {self.valid_tasks}; leave one of them out."
                )

    def rate(self, step: int) -> float:
        """Step size of outer step `step`, counted from 0."""
        done = step / self.steps
        factor = {
            "constant": 1.0,
            "cosine": 0.5 * (1 + math.cos(math.pi * min(done, 1))),
            "linear": max(1 - done, 0.0),
            "halve": 0.5 ** (step // self.halve_every),
        }[self.schedule]
        return self.outer_lr * factor

    def place(self, learner: AnyLearner) -> dict[str, Tensor]:
        """Puts a learner on the device and in the type of this training; its meta-parameters.

        Raises:
            UserError: There is no such device, or the learner has no meta-parameters.
        """
        device = self.device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            learner.to(device=device, dtype=getattr(torch, self.dtype))
        except (RuntimeError, AssertionError) as error:
            raise UserError(
                f"Training: device must be one that torch finds here; received {device!r} "
                f"({str(error).splitlines()[0]}); use cpu, or leave it out."
            ) from error
        to_channels_last(learner, self.batching)
        if self.bf16 and not any(isinstance(m, Conv2d | Linear) for m in learner.modules()):
            raise UserError(
                "Training: bf16 is for convolutions and transformers of quickstudy.nets; received "
                f"a {type(learner).__name__} without any; leave bf16 out."
            )
        parameters = learner.meta_parameters()
        if not parameters:
            raise UserError(
                f"train: {type(learner).__name__} has no meta-parameters; received a baseline; "
                "evaluate it without training."
            )
        return parameters

    def optimizer(self, parameters: dict[str, Tensor]) -> torch.optim.Optimizer:
        """The outer optimizer over these parameters.

        Raises:
            UserError: torch has no such optimizer, or it has no such option.
        """
        builder = getattr(torch.optim, self.outer_optimizer, None)
        unsuitable = (torch.optim.LBFGS, torch.optim.SparseAdam)
        if (
            not (isinstance(builder, type) and issubclass(builder, torch.optim.Optimizer))
            or builder in unsuitable
        ):
            raise UserError(
                "Training: outer_optimizer must name a class of torch.optim that steps along a "
                f"dense gradient; received {self.outer_optimizer!r}; use for example Adam, AdamW "
                "or SGD."
            )
        try:
            return builder(parameters.values(), lr=self.outer_lr, **self.optimizer_options)  # type: ignore[call-arg]
        except (TypeError, ValueError) as error:
            raise UserError(
                f"Training: outer_lr and optimizer_options must suit torch.optim."
                f"{self.outer_optimizer}; received {self.outer_lr} and {self.optimizer_options} "
                f"({error}); correct them."
            ) from error
