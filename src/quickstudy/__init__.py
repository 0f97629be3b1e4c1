"""Meta-learning: train on many small tasks, then learn a new one from a handful of examples.

import quickstudy as qs

model = qs.load("runs/glyphs")
clf = model.adapt(X, y)
clf.predict(X_new)
"""

from quickstudy import learners, nets, rules, tasks
from quickstudy.catalog import build
from quickstudy.compare import compare
from quickstudy.errors import (
    CheckpointError,
    DataError,
    NonFiniteError,
    QuickstudyError,
    UserError,
)
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.learner import Learner
from quickstudy.models.adapted import Adapted
from quickstudy.models.estimators import FewShotClassifier, FewShotRegressor
from quickstudy.models.model import Model
from quickstudy.models.saved import load, load_task
from quickstudy.selection import AlgorithmSelector
from quickstudy.task import Examples, Task
from quickstudy.training.estimate import Estimate, estimate
from quickstudy.training.loop import train
from quickstudy.training.settings import Training
from quickstudy.version import __version__

__all__ = [
    "Adapted",
    "AlgorithmSelector",
    "CheckpointError",
    "DataError",
    "Estimate",
    "Examples",
    "FewShotClassifier",
    "FewShotRegressor",
    "Learner",
    "Model",
    "NonFiniteError",
    "QuickstudyError",
    "Task",
    "Training",
    "UserError",
    "__version__",
    "build",
    "compare",
    "estimate",
    "evaluate",
    "learners",
    "load",
    "load_task",
    "nets",
    "rules",
    "tasks",
    "train",
]
