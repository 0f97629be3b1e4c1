"""Meta-learning: train on many small tasks, then learn a new one from a handful of examples.

import quickstudy as qs

model = qs.model("drawings")
clf = model.adapt(X, y)
clf.predict(X_new)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from quickstudy import learners, nets, rules, tasks
from quickstudy.catalog import build
from quickstudy.compare import compare
from quickstudy.encoders import Encoder, Text, encoder
from quickstudy.errors import (
    CheckpointError,
    DataError,
    NonFiniteError,
    QuickstudyError,
    UserError,
)
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.learner import Learner, Tags
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.models.policy import AdaptedPolicy
from quickstudy.models.policy_model import PolicyModel
from quickstudy.models.practise import practise
from quickstudy.models.ranking import questions, rank
from quickstudy.models.reasons import reasons
from quickstudy.models.saved import load, load_policy, load_task, model
from quickstudy.task import Examples, Task
from quickstudy.training.estimate import Estimate, estimate
from quickstudy.training.loop import train
from quickstudy.training.settings import Training
from quickstudy.version import __version__

if TYPE_CHECKING:
    from quickstudy.models.estimators import FewShotClassifier, FewShotRegressor
    from quickstudy.models.forecaster import FewShotForecaster
    from quickstudy.selection import AlgorithmSelector

__all__ = [
    "Adapted",
    "AdaptedPolicy",
    "AlgorithmSelector",
    "CheckpointError",
    "DataError",
    "EmbeddingLearner",
    "Encoder",
    "Estimate",
    "Examples",
    "FewShotClassifier",
    "FewShotForecaster",
    "FewShotRegressor",
    "Learner",
    "Model",
    "NonFiniteError",
    "PolicyModel",
    "QuickstudyError",
    "Tags",
    "Task",
    "Text",
    "Training",
    "UserError",
    "__version__",
    "build",
    "compare",
    "encoder",
    "estimate",
    "evaluate",
    "learners",
    "load",
    "load_policy",
    "load_task",
    "model",
    "nets",
    "practise",
    "questions",
    "rank",
    "reasons",
    "rules",
    "tasks",
    "train",
]

# They stand on scikit-learn, which takes longer to import than everything else: from where each
# comes when it is first asked for.
_LATE = {
    "AlgorithmSelector": "quickstudy.selection",
    "FewShotClassifier": "quickstudy.models.estimators",
    "FewShotForecaster": "quickstudy.models.forecaster",
    "FewShotRegressor": "quickstudy.models.estimators",
}

if not TYPE_CHECKING:  # so that a type checker still refuses names that do not exist

    def __getattr__(name: str) -> object:
        if name == "selection":
            return import_module("quickstudy.selection")
        if name not in _LATE:
            raise AttributeError(f"module 'quickstudy' has no attribute {name!r}")
        globals()[name] = getattr(import_module(_LATE[name]), name)
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
