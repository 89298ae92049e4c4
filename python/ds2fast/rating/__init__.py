"""Rating samples with an LLM behind any endpoint of OpenAI's protocol (extra `rate`)."""

from ds2fast.rating.estimate import RatingEstimate, estimate_rating
from ds2fast.rating.rate import rate
from ds2fast.rating.result import RaterScores, Ratings

__all__ = ["RaterScores", "RatingEstimate", "Ratings", "estimate_rating", "rate"]
