"""Worlds, the rollouts of agents in them, advantages and surrogate objectives."""

from quickstudy.play.agents import Oracle, Random, Still
from quickstudy.play.rollout import Agent, play
from quickstudy.play.world import Noise, Practice, Range, World

__all__ = [
    "Agent",
    "Noise",
    "Oracle",
    "Practice",
    "Random",
    "Range",
    "Still",
    "World",
    "play",
]
