"""A selector of algorithms: what it learns from other tables, and what it chooses for a new one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.frames import rows_of
from quickstudy.inputs.labels import distinct_classes, label_list
from quickstudy.inputs.rows import Columns
from quickstudy.metrics import ACCURACY
from quickstudy.selection.configurations import CHEAP, CONFIGURATIONS
from quickstudy.selection.inputs import OWN, POINTS, Scaling, input_names, inputs_of, ridge
from quickstudy.selection.matrix import Measured, Protocol, measure, table_weights, trial
from quickstudy.selection.policy import Policy, PolicyTraining, train_policy
from quickstudy.selection.selected import Selected, read_sealed, write_sealed
from quickstudy.selection.support import Support, encode
from quickstudy.tasks.source import generator
from quickstudy.tasks.tables import Table

Array = NDArray[Any]
FORMAT = "selector 1"
VALUE_PENALTY = 0.1


class AlgorithmSelector:
    """Chooses an algorithm of scikit-learn, and its hyperparameters, for a table.

        adapt:    x = (meta-features of the support, trials), k = argmax pi(k | x); fit k
        predict:  what the fitted algorithm says

    Trials are cross-validations of the cheap configurations on the support. `fit` draws choices for
    the tasks of other tables, has them run, and raises the probability of those that scored above
    the task's other draws: policy gradient, and a search in no space but that of the list.

    Not a `Learner`, as its state would be an estimator of scikit-learn and no tensors: it can be
    neither mapped over tasks by `vmap` nor differentiated. It is meta-trained, adapts to a support
    and is saved like one.

    Args:
        policy: The distribution over configurations, log-linear.
        scaling: Of the inputs.
        value: Ridge regression of the scores on the inputs, and a row of intercepts
            `(inputs + 1, configurations)`.
        tried: Configurations that are tried on the support.
        metric: The score.
        protocol: How the tasks were made.
        tables: Names of the tables it was trained on.

    Source: Williams 1992 (REINFORCE); Feurer et al.: Efficient and Robust Automated Machine
    Learning, NeurIPS 2015 (meta-features); Pfahringer et al., ICML 2000 (landmarking).

    Example:
        >>> from quickstudy.selection import Protocol
        >>> from quickstudy.tasks.tables import read_tables
        >>> quick = Protocol(n_splits=1, max_splits=1, max_support=30, max_query=30, folds=2)
        >>> tables, scores = read_tables(Path("tables")), Path("scores")
        >>> selector = qs.AlgorithmSelector.fit(tables, scores, protocol=quick)
    """

    def __init__(
        self,
        policy: Policy,
        scaling: Scaling,
        value: Array,
        tried: Sequence[str],
        metric: str,
        protocol: Protocol,
        tables: Sequence[str],
    ) -> None:
        self.policy = policy.double().eval().requires_grad_(False)
        self.scaling, self.value = scaling, value
        self.tried, self.metric = tuple(tried), metric
        self.protocol, self.tables = protocol, tuple(tables)

    def __repr__(self) -> str:
        return (
            f"AlgorithmSelector({len(self.policy.bias)} configurations, {len(self.tried)} tried, "
            f"learned from {len(self.tables)} tables by {self.metric})"
        )

    @classmethod
    def fit(
        cls,
        tables: Sequence[Table],
        store: Path,
        metric: str = ACCURACY.name,
        tried: Collection[str] = CHEAP,
        protocol: Protocol | None = None,
        training: PolicyTraining | None = None,
        progress: Callable[[str], object] = lambda text: None,
    ) -> AlgorithmSelector:
        """A selector that learned from tables.

        Args:
            tables: The tables.
            store: Folder for the scores on them, which are measured where they are not there.
            metric: The score.
            tried: Configurations that are tried on each support.
            protocol: How tasks are made of the tables.
            training: How the policy is trained.
            progress: Told what is measured.

        Raises:
            CheckpointError: The store was measured otherwise, or is damaged.
            UserError: There are fewer than two tables, or one has too few rows.
        """
        protocol = protocol or Protocol()
        measured = measure(tables, store, protocol, tried, progress)
        return cls.fit_measured(measured, metric, tried, protocol, training)

    @classmethod
    def fit_measured(
        cls,
        measured: Sequence[Measured],
        metric: str = ACCURACY.name,
        tried: Collection[str] = CHEAP,
        protocol: Protocol | None = None,
        training: PolicyTraining | None = None,
    ) -> AlgorithmSelector:
        """A selector that learned from scores which are there; arguments as of `fit`."""
        tried = [name for name in CONFIGURATIONS if name in tried]
        tables = sorted({task.table for task in measured})
        if len(tables) < 2:
            raise UserError(
                f"AlgorithmSelector: needs two tables or more; received {len(tables)}; add tables."
            )
        inputs = inputs_of([(task.features, task.tried(metric, tried)) for task in measured])
        scores = np.array([task.scored(metric) for task in measured])
        weight = table_weights(measured)
        scaling = Scaling.fit(inputs.x, weight)
        x = scaling(inputs.x)
        rewards = torch.tensor(scores / POINTS)
        policy = Policy(x.shape[1], len(OWN), len(CONFIGURATIONS)).double()
        train_policy(
            policy,
            torch.tensor(x),
            torch.tensor(inputs.own),
            lambda tasks, drawn: rewards[tasks].gather(1, drawn),
            training or PolicyTraining(),
            torch.tensor(weight),
        )
        value = ridge(x, scores, weight, VALUE_PENALTY)
        return cls(policy, scaling, value, tried, metric, protocol or Protocol(), tables)

    @property
    def inputs(self) -> list[str]:
        """Names of the policy's inputs for a task, in order."""
        return input_names(self.tried)

    def logits(self, features: Mapping[str, float], trials: Mapping[str, float]) -> Array:
        """Of each configuration, from the features of a support and the scores of the trials."""
        z, own = self._seen(features, trials)
        return np.asarray(self.policy(z, own))

    def adapt(self, X: Any, y: Any) -> Selected:
        """Chooses an algorithm for labelled rows, and fits it to them.

        Args:
            X: Rows: a data frame, an array, or a list of rows, each a mapping from column name to
                value or a sequence of values. Values are numbers, text, or None where missing.
            y: Label of each row.

        Raises:
            UserError: Rows are of different columns, values are infinite or all missing, or there
                is one class.
        """
        rows = rows_of(X)
        labels = label_list(y)
        if len(labels) != len(rows):
            raise UserError(
                "adapt: needs a label for each row; received "
                f"{len(rows)} row(s) and {len(labels)} label(s); give as many of both."
            )
        classes = distinct_classes(labels)
        number = {label: i for i, label in enumerate(classes)}
        columns = Columns.of(rows)
        support = encode(columns, rows, np.array([number[label] for label in labels]))
        begin = time.process_time()
        part = self._part(support)
        features = part.features()
        protocol = self.protocol
        trials = {
            name: trial(part, name, protocol.folds, protocol.seed)._asdict()[self.metric]
            for name in self.tried
        }
        why = self.explain(features, trials)
        why["seconds"] = {"choosing": time.process_time() - begin}
        selected = Selected(why["chosen"], support, classes, protocol.seed, why)
        why["seconds"]["fitting"] = selected.seconds
        return selected

    def explain(self, features: Mapping[str, float], trials: Mapping[str, float]) -> JSON:
        """The choice for a task and the reasons for it, as plain JSON.

        `for_it` splits the difference of the logits of the chosen configuration and of the
        runner-up into the contributions of the inputs, which add up to it exactly.
        """
        z, own = self._seen(features, trials)
        logits = self.policy(z, own)
        probability = logits.softmax(dim=0).numpy()
        first, second = (int(i) for i in np.argsort(-probability, kind="stable")[:2])
        bias, weighted, owned = self.policy.contributions(z, own)
        parts = {"how it does everywhere": float(bias[first] - bias[second])}
        parts |= dict(zip(self.inputs, (weighted[first] - weighted[second]).tolist(), strict=True))
        parts |= dict(zip(OWN, (owned[first] - owned[second]).tolist(), strict=True))
        ordered = sorted(parts.items(), key=lambda part: -abs(part[1]))
        names = list(CONFIGURATIONS)
        expected = np.clip(np.append(z.numpy(), 1) @ self.value, 0, 1)
        return {
            "chosen": names[first],
            "runner_up": names[second],
            "metric": self.metric,
            "configurations": [
                {
                    "name": name,
                    "algorithm": CONFIGURATIONS[name].describe(),
                    "probability": float(probability[i]),
                    "expected": float(expected[i]),
                    "trial": trials.get(name),
                }
                for i, name in enumerate(names)
            ],
            "log_odds": float(logits[first] - logits[second]),
            "for_it": [{"input": name, "contribution": value} for name, value in ordered],
            "features": dict(features),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the selector to one file: safetensors with a JSON header; no code in it."""
        tensors = dict(self.policy.state_dict())
        for name, array in {**self.scaling._asdict(), "value": self.value}.items():
            tensors[f"inputs/{name}"] = torch.tensor(array)
        header = {
            "configurations": {name: each.describe() for name, each in CONFIGURATIONS.items()},
            "inputs": self.inputs,
            "tried": list(self.tried),
            "metric": self.metric,
            "protocol": asdict(self.protocol),
            "tables": list(self.tables),
        }
        write_sealed(Path(path), FORMAT, tensors, header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AlgorithmSelector:
        """The selector that `save` wrote.

        Raises:
            CheckpointError: The file is missing, altered, or of another version of quickstudy or of
                scikit-learn.
        """
        tensors, header = read_sealed(Path(path), FORMAT)
        mean, std, value = (tensors.pop(f"inputs/{n}").numpy() for n in ("mean", "std", "value"))
        policy = Policy(len(mean), len(OWN), len(CONFIGURATIONS)).double()
        policy.load_state_dict(tensors)
        protocol = Protocol(**header["protocol"])
        return cls(
            policy,
            Scaling(mean, std),
            value,
            header["tried"],
            header["metric"],
            protocol,
            header["tables"],
        )

    def _seen(
        self, features: Mapping[str, float], trials: Mapping[str, float]
    ) -> tuple[Tensor, Tensor]:
        inputs = inputs_of([(features, trials)])
        return torch.tensor(self.scaling(inputs.x[0])), torch.tensor(inputs.own[0])

    def _part(self, support: Support) -> Support:
        """A stratified part of the support, no larger than those of meta-training."""
        n, most = len(support.y), self.protocol.max_support
        if n <= most:
            return support
        order = generator(self.protocol.seed, "part", 0).permutation(n)
        order = order[np.argsort(support.y[order], kind="stable")]
        return support.of(np.sort(order[np.linspace(0, n - 1, most).astype(np.int64)]))
