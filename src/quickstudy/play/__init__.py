"""Playing: worlds, the rollouts of a policy in them, and how good its actions were."""

from quickstudy.play.rollout import Agent, play
from quickstudy.play.world import Hidden, Noise, Practice, World, WorldState

__all__ = ["Agent", "Hidden", "Noise", "Practice", "World", "WorldState", "play"]
