"""Why an adapted model answers as it does, as functions of learner, support, state and query."""

from quickstudy.explain.attribution import Attribution, Method, attribute
from quickstudy.explain.comparison import Neighbour, Neighbours, attention, contributions, nearest
from quickstudy.explain.explanation import Explanation, explain, named
from quickstudy.explain.layers import LayerChange, layer_changes, linear_cka
from quickstudy.explain.policy import (
    ActionChange,
    EpisodePart,
    PolicyExplanation,
    explain_policy,
)
from quickstudy.explain.removal import (
    Counterfactual,
    Suspect,
    counterfactual,
    influence,
    suspicious,
)
from quickstudy.explain.words import Word, WordShares, word_shares

__all__ = [
    "ActionChange",
    "Attribution",
    "Counterfactual",
    "EpisodePart",
    "Explanation",
    "LayerChange",
    "Method",
    "Neighbour",
    "Neighbours",
    "PolicyExplanation",
    "Suspect",
    "Word",
    "WordShares",
    "attention",
    "attribute",
    "contributions",
    "counterfactual",
    "explain",
    "explain_policy",
    "influence",
    "layer_changes",
    "linear_cka",
    "named",
    "nearest",
    "suspicious",
    "word_shares",
]
