"""Rating samples with an LLM behind any endpoint of OpenAI's protocol (extra `rate`)."""

from ds2fast.rating.alarms import RatingAlarm
from ds2fast.rating.client import MissingExtraError
from ds2fast.rating.estimate import RatingEstimate, estimate_rating
from ds2fast.rating.rate import rate
from ds2fast.rating.result import RaterScores, Ratings
from ds2fast.rating.run import ServerError

__all__ = [
    "MissingExtraError",
    "RaterScores",
    "RatingAlarm",
    "RatingEstimate",
    "Ratings",
    "ServerError",
    "estimate_rating",
    "rate",
]
