"""Ratings of items by users: what to recommend to a new user from a handful of ratings."""

from quickstudy.domains.ratings.rating_tasks import RatingTasks
from quickstudy.domains.ratings.reader import ratings

__all__ = ["RatingTasks", "ratings"]
