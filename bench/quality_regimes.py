"""The regimes of the quality bench: how true levels lie in the pool, and how the rater errs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

STRUCTURES = ("cluster", "smooth")
PLAIN_NOISES = (("uniform", 0.2), ("uniform", 0.4), ("ordinal", 0.3), ("ordinal", 0.5))
OTHER_NOISES = (("one-sided", 0.3), ("level", 0.3), ("lazy", 0.3), ("judge", 0.0))
OWN = (0.0, 0.2, 0.4, 0.6)
SHARED_ERROR = (0.0, 0.5)


@dataclass(frozen=True)
class Regime:
    """One way to plant true levels and errors.

    Attributes
    ----------
    structure : {"cluster", "smooth"}
        True levels belong to clusters of the vectors, or follow a direction over them.
    noise, rate
        Kind of error and its rate (`quality_noise.py`); a judge has a rate of its own.
    own : float
        Share of rows whose true level has nothing to do with their neighbours'.
    shared_error : float
        Share of rows whose error is drawn once for all rows that are alike.
    """

    structure: str
    noise: str
    rate: float = 0.0
    own: float = 0.0
    shared_error: float = 0.0

    @property
    def kind(self) -> str:
        """Structure and noise, in words."""
        rate = f" {self.rate:g}" if self.rate else ""
        return f"{self.structure} {self.noise}{rate}"

    @property
    def family(self) -> str:
        """What a table of regimes has in common."""
        return f"own {self.own:g}, shared error {self.shared_error:g}"

    @property
    def name(self) -> str:
        """All of it, in words."""
        return f"{self.kind}, {self.family}"

    @property
    def plain(self) -> bool:
        """Whether it is one of the eight in which all that the method assumes nearly holds."""
        usual = (self.noise, self.rate) in PLAIN_NOISES
        return usual and self.own == 0 and self.shared_error == 0


def regimes_of(group: str) -> list[Regime]:
    """`plain`: the eight; `harm`: all noises and shares of own rows; `all`: shared errors too."""
    if group == "plain":
        return _regimes(PLAIN_NOISES, OWN[:1], SHARED_ERROR[:1])
    return _regimes(
        PLAIN_NOISES + OTHER_NOISES, OWN, SHARED_ERROR[:1] if group == "harm" else SHARED_ERROR
    )


GROUPS = ("plain", "harm", "all")


def _regimes(
    noises: tuple[tuple[str, float], ...], own: tuple[float, ...], shared: tuple[float, ...]
) -> list[Regime]:
    """Family by family, so that a run that is stopped has whole tables."""
    return [
        Regime(structure, noise, rate, own_share, shared_share)
        for shared_share, own_share, structure, (noise, rate) in product(
            shared, own, STRUCTURES, noises
        )
    ]
