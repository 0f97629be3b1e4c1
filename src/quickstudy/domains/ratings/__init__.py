"""Ratings and interactions of users: what to recommend to a new user from a handful of them."""

from quickstudy.domains.ratings.interaction_tasks import InteractionTasks
from quickstudy.domains.ratings.rating_tasks import RatingTasks
from quickstudy.domains.ratings.reader import interactions, ratings

__all__ = ["InteractionTasks", "RatingTasks", "interactions", "ratings"]
