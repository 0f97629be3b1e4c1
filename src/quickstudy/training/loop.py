"""The outer loop: steps, validation, stopping, checkpoints, progress and resuming."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from quickstudy.batching.batch import threads
from quickstudy.batching.processes import all_reduce, from_first, own_random_numbers, world
from quickstudy.batching.record import Recorder
from quickstudy.errors import NonFiniteError, UserError
from quickstudy.evaluation.scores import calibrate_population
from quickstudy.files import rundir
from quickstudy.files.records import without_nan
from quickstudy.learner import AnyLearner
from quickstudy.metrics import half_width
from quickstudy.nets.copies import snapshot
from quickstudy.nets.norm import check_no_running_statistics, has_centre
from quickstudy.nets.passing import bf16
from quickstudy.nets.traits import check_architectures
from quickstudy.task import to_like
from quickstudy.tasks.recorded import Recorded
from quickstudy.tasks.source import TaskSource, flat_batches
from quickstudy.training.ahead import drawn_ahead
from quickstudy.training.checkpoint import Counters, checkpoint, restore
from quickstudy.training.facts import facts, on_recorded_scale, places_of
from quickstudy.training.initial import initial_tasks
from quickstudy.training.interrupts import Interrupts
from quickstudy.training.outer import Batches, Taken, enough_memory, outer_step
from quickstudy.training.pooled import pooled_training
from quickstudy.training.progress import Progress, tensorboard
from quickstudy.training.result import Result, Resume, Stop, Watch
from quickstudy.training.resuming import begun, check_same, opened
from quickstudy.training.settings import Training
from quickstudy.training.validation import Validation

LOG_EVERY = 10
"""Steps between lines of metrics, and between looks at what a GPU has computed."""


def train(
    learner: AnyLearner,
    source: TaskSource,
    training: Training | None = None,
    out: str | Path | None = None,
    *,
    about: dict[str, Any] | None = None,
    resume: Resume = False,
    show: bool = True,
    watch: Watch | None = None,
) -> Result:
    """Meta-trains a learner and leaves it with the best weights found.

    Under `torchrun` every process takes its share of each meta-batch, and all of them end with the
    weights that one process would have.

    Args:
        learner: Changed in place.
        source: The tasks.
        training: Settings; the defaults where omitted.
        out: Run directory to write; None to keep nothing.
        about: What the run directory's record holds besides, such as how to make the tasks again.
        resume: Continue the run in `out`, to the same weights as without a pause: bit by bit on the
            same machine, with the same PyTorch and number of threads, unless compiled. `"auto"`
            continues the run that is there if it is this very one, and begins it if none is.
        show: Whether progress is shown.
        watch: Called after each validation with the steps done and the best metric so far; training
            ends where it returns true, and can be resumed.

    Raises:
        UserError: `out` holds a run and `resume` is false, or another run than this; another
            process trains it; a setting is wrong; or the data of meta-train and meta-valid are not
            those that the run began with.
        CheckpointError: The run cannot be resumed.
        NonFiniteError: No task gave a finite loss for many steps in a row.

    Example:
        >>> learner = qs.build("RidgeHead", tasks)
        >>> result = qs.train(learner, tasks, qs.Training(steps=2, valid_tasks=2), show=False)
        >>> result.stopped, result.step
        ('steps', 2)
    """
    training = training or Training()
    if out is None and (resume or training.checkpoint_every):
        raise UserError(
            "train: resume and checkpoint_every need a run directory; received none; give out, or "
            "leave them out."
        )
    with opened(out, resume) as continued:
        if continued and out is not None:
            source = on_recorded_scale(source, out)
            if resume is not True:
                check_same(rundir.RunDirectory(out), facts(learner, source, training))
        pooled = pooled_training(learner, source, training, out)
        run = _Run(learner, source, training)
        try:
            run.open(out, about or {}, continued)
            result = run.go(show, watch)
        except Exception:
            if run.directory is not None and run.at.step == 0:
                run.directory.discard()
            raise
        if result.stopped in ("interrupted", "watch"):
            return result
        for each in pooled:
            if each.done:
                continue
            if train(each.learner, source, each.settings, show=show).stopped == "interrupted":
                return replace(result, stopped="interrupted")
            each.keep()
    return result


def check_training(learner: AnyLearner, source: TaskSource, training: Training) -> None:
    """Refuses what could not be trained: tries a task in meta-training and one in validation.

    Raises:
        UserError: The learner, the tasks and the settings do not go together.
    """
    _Run(learner, source, training).try_tasks()


class _Run:
    """One meta-training in progress."""

    def __init__(self, learner: AnyLearner, source: TaskSource, training: Training) -> None:
        self.rank = world()[0]
        check_no_running_statistics(learner, type(learner).__name__)
        self.learner, self.source, self.settings = learner, source, training
        self.meta_train = source if learner.tags.episodic else flat_batches(source)
        self.parameters = training.place(learner)
        self.optimizer = training.optimizer(self.parameters)
        self.recorder = Recorder(learner, training.compile)
        self.unread: list[Taken] = []
        self.losses: list[float] = []
        self.validation = Validation(learner, source, training)
        self.metric = source.metrics[0]
        self.at = Counters()
        self.best_weights: dict[str, Tensor] = {}
        self.directory: rundir.RunDirectory | None = None
        self.record: dict[str, Any] = {}
        self.notes: list[str] = []
        self.interrupts = Interrupts()

    def open(self, out: str | Path | None, about: dict[str, Any], resume: bool) -> None:
        """Opens the run directory: a new one, after a trial of the learner, or one to continue."""
        self.directory = rundir.RunDirectory(out) if out is not None else None
        open_writer = tensorboard() if self.settings.tensorboard and self.rank == 0 else None
        if not resume:
            self.try_tasks()
        if self.directory is not None:
            if resume:
                self._resume(self.directory, about)
            elif self.rank == 0:
                self.record = {
                    **facts(self.learner, self.source, self.settings),
                    **about,
                    "step": 0,
                    "minutes": 0.0,
                }
                self.directory.create(self.record)
                begun(self.directory)
                self.record = self.directory.read()
                self._checkpoint()
        self.writer = open_writer and open_writer(str(Path(out or "runs") / "tensorboard"))

    def go(self, show: bool, watch: Watch | None) -> Result:
        """Takes steps until it is time to stop."""
        stopped: Stop = self._enough() or "steps"
        started = time.monotonic() - self.at.seconds
        started_cpu = time.process_time() - self.at.cpu_seconds
        recent = (time.monotonic(), self.at.step)
        kind, settings = self.source.preprocess, self.settings
        device = next(iter(self.parameters.values())).device
        with (
            Progress(settings.steps, self.at.step, show and self.rank == 0) as progress,
            self.interrupts,
            threads(self.learner, settings.batching),
            drawn_ahead(self.meta_train, settings, self.at.step, device) as batches,
        ):
            for note in self.source.describe().get("notes", ()):
                progress.say(note)
            if self.at.step == 0 and has_centre(self.learner):
                # Its mean is the same in train mode, so it stands before the first step.
                calibrate_population(self.learner, self.source)
            self.learner.train()
            if self.at.step == 0:
                self.learner.initialise(initial_tasks(self.meta_train))
            of_inputs = () if kind is None or self.at.step else kind.notes
            for note in (*self.notes, *of_inputs):
                progress.say(f"note: {note}")
            if not self.validation.n:
                progress.say("no meta-valid tasks: no validation, and the last weights are kept")
            while stopped == "steps" and self.at.step < settings.steps:
                self._step(batches)
                now = self.at.step
                log = now % LOG_EVERY == 0 or now == settings.steps
                if log or not self.optimizer.defaults.get("fused"):
                    self._read()
                self.at.seconds = time.monotonic() - started
                self.at.cpu_seconds = time.process_time() - started_cpu
                if log:
                    n_tasks = (now - recent[1]) * settings.meta_batch
                    speed = n_tasks / (time.monotonic() - recent[0])
                    recent = (time.monotonic(), now)
                    finite = [loss for loss in self.losses if math.isfinite(loss)]
                    loss = float(np.mean(finite)) if finite else math.nan
                    self.losses.clear()
                    progress.step(now, loss, speed)
                    self._log({"loss": loss, "lr": settings.rate(now - 1), "tasks_per_s": speed})
                halt = self._agreed_halt()
                due = now % settings.valid_every == 0 or now == settings.steps
                if due and self.validation.n:
                    # Even when interrupted: a resumed run would not come back to it.
                    halt = self._validate(progress, watch) or halt
                    recent = (time.monotonic(), now)
                elif due:
                    self._keep()
                every = settings.checkpoint_every
                if due or halt or (every and now % every == 0):
                    self._checkpoint()
                stopped = halt or stopped
        if self.at.best is None:  # Nothing was validated: the latest weights are the best known.
            self._keep()
        if self.directory is not None and self.rank == 0:
            self.record["stopped"] = stopped
            self._checkpoint()
        temperature, novelty = 1.0, None
        if stopped not in ("interrupted", "watch"):
            self.learner.load_state_dict(self.best_weights)
            temperature, novelty = self.validation.calibration()
            if self.directory is not None and self.rank == 0:
                fitted = {"temperature": temperature, "novelty": novelty and novelty.to_json()}
                self.directory.save(self.record | fitted, {})
        if self.writer is not None:
            self.writer.close()
        at, best = self.at, math.nan if self.at.best is None else self.at.best
        minutes, notes = at.seconds / 60, tuple(self.notes)
        return Result(stopped, at.step, best, minutes, at.skipped, temperature, novelty, notes)

    def _keep(self) -> None:
        """Keeps the latest weights, calibrated, where no validation says which are the best."""
        calibrate_population(self.learner, self.source)
        self.best_weights, self.at.best_step = snapshot(self.learner), self.at.step

    @torch.no_grad()
    def try_tasks(self) -> None:
        """Tries a task in training and in validation, so that misfits show before files exist."""
        reference = next(iter(self.parameters.values()))
        with self._memory(), own_random_numbers(self.learner, self.settings.seed, 0, self.rank):
            task = to_like(self.meta_train.task("train", 0), reference)
            self.learner(self.learner.practise(task))
            for task in self.validation.tasks([0] if self.validation.n else []):
                self.learner.respond(to_like(task, reference))

    def _step(self, batches: Batches) -> None:
        """Takes an outer step, whose outcome is unread."""
        settings, step = self.settings, self.at.step
        for group in self.optimizer.param_groups:
            group["lr"] = settings.rate(step)
        self.learner.on_progress(step / settings.steps)
        indices = range(step * settings.meta_batch, (step + 1) * settings.meta_batch)
        with (
            self._memory(),
            own_random_numbers(self.learner, settings.seed, step, self.rank),
            bf16(settings.bf16),
        ):
            taken = outer_step(
                self.learner,
                self.optimizer,
                batches,
                "train",
                indices,
                settings.clip,
                settings.batching,
                settings.chunk_size,
                self.recorder,
            )
        self.unread.append(taken)
        self.at.step += 1

    def _read(self) -> None:
        """Reads the outcomes of the steps since it was last called.

        Raises:
            NonFiniteError: Too many of them in a row have no finite loss.
        """
        while self.unread:
            outcome = self.unread.pop(0).outcome()
            self.losses.append(outcome.loss)
            self.at.skipped += outcome.skipped
            self.at.bad_steps = 0 if math.isfinite(outcome.loss) else self.at.bad_steps + 1
            if outcome.skipped:
                self._log({"skipped": outcome.skipped})
            if self.at.bad_steps >= self.settings.max_bad_steps:
                where = self.directory and self.directory.path
                hint = f"; the last good checkpoint is in {where}" if where else ""
                step = self.at.step - len(self.unread)
                raise NonFiniteError(
                    f"meta-training, step {step}: expected a finite loss; received none from any "
                    f"task of {self.at.bad_steps} steps in a row; lower outer_lr or the learner's "
                    f"inner_lr, clip the gradient, or check the data{hint}."
                )

    def _validate(self, progress: Progress, watch: Watch | None) -> Stop | None:
        """Scores the fixed meta-valid tasks and keeps the best weights."""
        settings, at = self.settings, self.at
        calibrate_population(self.learner, self.source)
        with self._memory():
            values = self.validation.values()
        value = float(values.mean())
        sign = self.metric.sign
        if math.isfinite(value) and (at.best is None or sign * (value - at.best) > 0):
            at.best, at.best_step, at.since_best = value, at.step, 0
            self.best_weights = snapshot(self.learner)
        else:
            at.since_best += 1
        speed = at.step * settings.meta_batch / max(at.seconds, 1e-9)
        progress.valid(at.step, self.metric.name, value, half_width(values), speed)
        self._log({f"valid_{self.metric.name}": value, "valid_ci95": half_width(values)})
        best = math.nan if at.best is None else at.best
        halted = watch is not None and watch(at.step, best)
        return self._enough() or ("watch" if halted else None)

    def _enough(self) -> Stop | None:
        """The reason to stop that the validations so far give, so that a finished run stays so."""
        target, patience, best = self.settings.target, self.settings.patience, self.at.best
        sign = self.metric.sign
        if target is not None and best is not None and sign * (best - target) >= 0:
            return "target"
        if patience is not None and self.at.since_best >= patience:
            return "patience"
        return None

    def _agreed_halt(self) -> Stop | None:
        """Whether to stop now; the same answer on every process."""
        limit = self.settings.minutes
        flags = torch.tensor(
            [self.interrupts.asked, limit is not None and self.at.seconds >= 60 * limit],
            dtype=torch.float64,
        )
        if world()[1] > 1:
            all_reduce(flags, dist.ReduceOp.MAX)
        return "interrupted" if flags[0] else "minutes" if flags[1] else None

    def _log(self, values: dict[str, float]) -> None:
        if self.directory is not None and self.rank == 0:
            # A mean over no finite loss is null.
            row = without_nan(values)
            self.directory.log({"step": self.at.step, "seconds": round(self.at.seconds, 3), **row})
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, self.at.step)

    def _checkpoint(self) -> None:
        self._read()
        if self.directory is None or self.rank != 0:
            return
        content = checkpoint(self.learner, self.best_weights, self.optimizer, self.at)
        files = {"resume": content}
        if self.best_weights:
            files["weights"] = rundir.tensors_to_bytes(
                self.best_weights, {"step": self.at.best_step}
            )
        self.record |= {
            "step": self.at.step,
            "best": self.at.best,
            "minutes": self.at.seconds / 60,
            "cpu_minutes": self.at.cpu_seconds / 60,
            "skipped": self.at.skipped,
        }
        self.directory.save(self.record, files)

    def _resume(self, directory: rundir.RunDirectory, about: dict[str, Any]) -> None:
        self.record = directory.read()
        recorded = Recorded.of(directory.path, needs=("train", "valid"))
        self.notes = recorded.notes(self.source)
        self.record |= places_of(about, self.record)
        check_architectures(self.learner, self.record.get("networks"), str(directory.path))
        saved = "resume" in self.record["files"]
        content = from_first(lambda: directory.content("resume") if saved else b"")
        if not content:  # Killed before the first step: begin anew.
            return
        where = f"run directory {directory.path}"
        self.at, self.best_weights = restore(content, self.learner, self.optimizer, where)
        if self.rank == 0:
            directory.forget_metrics_after(self.at.step)
        for key in ("stopped", "temperature", "novelty"):
            self.record.pop(key, None)
        self.record["training"] = asdict(self.settings)

    def _memory(self) -> AbstractContextManager[None]:
        """Turns running out of memory into an error that says what to change."""
        settings = self.settings
        options = (settings.meta_batch, settings.batching, settings.chunk_size)
        return enough_memory(self.learner, f"meta-training, step {self.at.step}", *options)
