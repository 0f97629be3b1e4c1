"""Simple opponents on assays: on fingerprints, and on labels alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.inputs.molecules import Molecules, tanimoto
from quickstudy.learner import AnyLearner, Learner, Tags
from quickstudy.learners.linear import LinearState, LogisticRegression
from quickstudy.task import Examples

Floats = NDArray[np.float64]
LEAST: Final = 1e-4
"""The least probability that a forest or a vote of neighbours gives."""


class Prints(NamedTuple):
    """The support as an opponent keeps it.

    Shapes:
        prints (support, bits); active (support,), 1 or 0; weight (support,)
    """

    prints: Tensor
    active: Tensor
    weight: Tensor


class OnPrints(Learner[Prints]):
    """The base of the opponents that keep fingerprints and labels.

    Args:
        kind: What encodes the molecules.
    """

    tags = Tags(vmappable=False, meta_trained=False, label_equivariant=False)

    def __init__(self, molecules: Molecules) -> None:
        super().__init__()
        self.molecules = molecules

    def adapt(self, support: Examples) -> Prints:
        return Prints(self.molecules.prints(support.x), support.y[:, 1], support.weight)


class KNN(OnPrints):
    """The vote of the five nearest support molecules, weighed by Tanimoto similarity.

    adapt:    keeps fingerprints f_i and labels
    predict:  p(active) = sum of s_i over active neighbours / sum of s_i,  s_i = Tanimoto(f, f_i)
    """

    def __init__(self, molecules: Molecules, k: int = 5) -> None:
        super().__init__(molecules)
        self.k = k

    def predict(self, state: Prints, x: Tensor) -> Tensor:
        real = state.weight > 0
        s = tanimoto(self.molecules.prints(x), state.prints[real]) + 1e-6
        near, place = s.topk(min(self.k, int(real.sum())), dim=1)
        p = (near * state.active[real][place]).sum(dim=1) / near.sum(dim=1)
        # Of equal votes the more similar neighbours decide.
        p = p + 1e-3 * (near * (2 * state.active[real][place] - 1)).sum(dim=1)
        return _logits(p)


class TanimotoGP(OnPrints):
    """A Gaussian process with the Tanimoto kernel, its amplitude and noise by marginal likelihood.

    adapt:    y_i = +-1 less their mean
    predict:  a k(x)^T (a K + n I)^-1 y, the best of a few a and n on the support

    Source: Griffiths et al.: GAUCHE, NeurIPS 2023, for the kernel on fingerprints.
    """

    def predict(self, state: Prints, x: Tensor) -> Tensor:
        real = state.weight > 0
        prints, y = state.prints[real].double(), 2 * state.active[real].double() - 1
        mean = y.mean()
        y, K = y - mean, tanimoto(prints, prints)
        eye = torch.eye(len(y), dtype=torch.float64)
        best, weights = -np.inf, torch.zeros_like(y)
        for amplitude in (0.25, 1.0, 4.0):
            for noise in (0.01, 0.1, 0.3, 1.0):
                L = torch.linalg.cholesky(amplitude * K + (noise + 1e-5) * eye)
                alpha = torch.cholesky_solve(y[:, None], L)[:, 0]
                evidence = float(-0.5 * y @ alpha - L.diagonal().log().sum())
                if evidence > best:
                    best, weights = evidence, amplitude * alpha
        latent = mean + tanimoto(self.molecules.prints(x).double(), prints) @ weights
        return torch.stack([-latent, latent], dim=1).to(x)


class RandomForest(OnPrints):
    """A random forest of 100 balanced trees on fingerprints, as scikit-learn has it."""

    def predict(self, state: Prints, x: Tensor) -> Tensor:
        from sklearn.ensemble import RandomForestClassifier  # not at `import quickstudy`

        real = state.weight > 0
        forest = RandomForestClassifier(100, random_state=0, class_weight="balanced")
        forest.fit(state.prints[real].cpu().numpy(), (state.active[real] > 0.5).cpu().numpy())
        p = forest.predict_proba(self.molecules.prints(x).cpu().numpy())
        (column,) = np.flatnonzero(forest.classes_) if forest.classes_.any() else (None,)
        active = np.zeros(len(x)) if column is None else p[:, column]
        return _logits(torch.as_tensor(active).to(x))


class OnECFP(Learner[LinearState]):
    """Logistic regression on fingerprints, whatever the network sees of a molecule."""

    tags = Tags(vmappable=False, meta_trained=False)

    def __init__(self, molecules: Molecules) -> None:
        super().__init__()
        self.molecules, self.regression = molecules, LogisticRegression()

    def adapt(self, support: Examples) -> LinearState:
        return self.regression.adapt(support._replace(x=self.molecules.prints(support.x)))

    def predict(self, state: LinearState, x: Tensor) -> Tensor:
        return self.regression.predict(state, self.molecules.prints(x))


class LabelsOnly(Learner[LinearState]):
    """Logistic regression on the labels of the same molecule in the meta-train assays.

    It sees no chemistry. Where it wins, labels of the query's own molecules tell the answer, and a
    learner that saw these molecules in meta-training may do no more than remember them.

    Args:
        molecules: What encodes the molecules.
        known: +1 active, -1 inactive, 0 not measured `(assays,)`, by the fingerprint.
        n_assays: Number of meta-train assays.
    """

    tags = Tags(vmappable=False, meta_trained=False)

    def __init__(self, molecules: Molecules, known: Mapping[bytes, Floats], n_assays: int) -> None:
        super().__init__()
        self.molecules, self.known, self.n_assays = molecules, known, n_assays
        self.regression = LogisticRegression()

    def adapt(self, support: Examples) -> LinearState:
        return self.regression.adapt(support._replace(x=self.labels(support.x)))

    def predict(self, state: LinearState, x: Tensor) -> Tensor:
        return self.regression.predict(state, self.labels(x))

    def labels(self, x: Tensor) -> Tensor:
        """The labels of encoded molecules in the meta-train assays `(molecules, assays)`."""
        nothing = np.zeros(self.n_assays)
        rows = [self.known.get(key, nothing) for key in keys(self.molecules, x)]
        return torch.as_tensor(np.array(rows).reshape(len(x), self.n_assays)).to(x)


def keys(molecules: Molecules, x: Tensor) -> list[bytes]:
    """The bytes by which the fingerprints of encoded molecules are known again."""
    bits = molecules.prints(x).cpu().numpy() > 0.5
    return [row.tobytes() for row in np.packbits(bits, axis=1)]


def assay_rungs(
    molecules: Molecules, known: Mapping[bytes, Floats], n_assays: int
) -> dict[str, AnyLearner]:
    """The opponents by name, the strongest of few examples first, the alarm last."""
    rungs: dict[str, Any] = {
        "LogisticRegression": OnECFP(molecules),
        "RandomForest": RandomForest(molecules),
        "KNN": KNN(molecules),
        "TanimotoGP": TanimotoGP(molecules),
        "LabelsOnly": LabelsOnly(molecules, known, n_assays),
    }
    return rungs


def _logits(p: Tensor) -> Tensor:
    """The logits `(molecules, 2)` of probabilities of being active."""
    p = p.clamp(LEAST, 1 - LEAST)
    return torch.stack([(1 - p).log(), p.log()], dim=1)
