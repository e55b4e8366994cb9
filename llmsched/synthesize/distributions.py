"""When requests arrive and how long they are: distributions, read from text and drawn from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from llmsched.errors import InputError
from llmsched.schema import shown
from llmsched.trace import MAX_TOKENS, Trace


@dataclass(frozen=True)
class Arrivals:
    """When requests arrive.

    Attributes
    ----------
    rate : float
        Requests per second; infinite means that all arrive at time 0.
    cv : float
        Coefficient of variation of the gaps, which are gamma distributed: 1 is a Poisson process,
        more is bursty, 0 is one request every ``1 / rate`` seconds.
    """

    rate: float = math.inf
    cv: float = 1.0

    def __post_init__(self) -> None:
        if not (1e-9 <= self.rate <= 1e12 or self.rate == math.inf):
            raise InputError(f"arrivals: expected a rate in 1e-9..1e12, got {self.rate}")
        if not 0 <= self.cv <= 1000:
            raise InputError(f"arrivals: expected a cv in 0..1000, got {self.cv}")

    @classmethod
    def parse(cls, text: str) -> Arrivals:
        """Read ``offline``, ``poisson:RATE`` or ``gamma:RATE:CV``.

        Raises
        ------
        InputError
            It has another form, or a number is out of range.
        """
        kind, *numbers = text.split(":")
        match kind, numbers_in("arrivals", text, numbers):
            case "offline", []:
                return cls()
            case "poisson", [rate]:
                return cls(rate)
            case "gamma", [rate, cv]:
                return cls(rate, cv)
        forms = "offline, poisson:RATE or gamma:RATE:CV"
        raise InputError(f"arrivals: expected {forms}, got {shown(text)}")

    def draw(self, n: int, rng: Generator) -> NDArray[np.float64]:
        """Return `n` arrival times in seconds; the first is 0."""
        if math.isinf(self.rate):
            return np.zeros(n)
        if self.cv < 1e-6:
            return np.arange(n) / self.rate
        shape = self.cv**-2
        gaps = rng.gamma(shape, 1 / (shape * self.rate), n - 1)
        return np.concatenate(([0.0], np.cumsum(gaps)))

    @classmethod
    def like(cls, trace: Trace) -> Arrivals:
        """Return gamma arrivals with the rate and the burstiness of `trace`."""
        span = float(trace.arrival[-1] - trace.arrival[0])
        if span == 0:
            return cls()
        gaps = np.diff(trace.arrival)
        return cls((len(trace) - 1) / span, float(gaps.std() / gaps.mean()))


class LengthDistribution(Protocol):
    """How many tokens a request has: integers, at least 1."""

    def draw(self, n: int, rng: Generator) -> NDArray[np.int64]:
        """Return `n` lengths."""


@dataclass(frozen=True)
class Lengths:
    """A distribution without an upper end, rounded, at least 1; or one length for all.

    Attributes
    ----------
    kind : {"lognormal", "gamma", "fixed"}
    mean, std : float
        Of the distribution, before rounding and the cap.
    cap : int or None
        Longer requests get exactly this length, as ``max_tokens`` does to outputs.
    """

    kind: str
    mean: float
    std: float = 0.0
    cap: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("lognormal", "gamma", "fixed"):
            raise InputError(f"lengths: expected lognormal, gamma or fixed, got {self.kind!r}")
        if not 1 <= self.mean <= MAX_TOKENS:
            raise InputError(f"lengths: expected a mean in 1..{MAX_TOKENS}, got {self.mean}")
        if not 0 <= self.std <= MAX_TOKENS:
            raise InputError(f"lengths: expected a std in 0..{MAX_TOKENS}, got {self.std}")
        if self.cap is not None and not 1 <= self.cap <= MAX_TOKENS:
            raise InputError(f"lengths: expected a cap in 1..{MAX_TOKENS}, got {self.cap}")

    def draw(self, n: int, rng: Generator) -> NDArray[np.int64]:
        """Return `n` lengths."""
        if self.kind == "fixed" or self.std < 1e-6:
            values = np.full(n, self.mean)
        elif self.kind == "gamma":
            shape = (self.mean / self.std) ** 2
            values = rng.gamma(shape, self.mean / shape, n)
        else:
            variance = math.log1p((self.std / self.mean) ** 2)
            values = rng.lognormal(math.log(self.mean) - variance / 2, math.sqrt(variance), n)
        most = MAX_TOKENS if self.cap is None else self.cap
        return np.asarray(np.clip(np.rint(values), 1, most), np.int64)


@dataclass(frozen=True)
class Uniform:
    """Lengths that are all as likely: the integers `low` to `high`, both ends included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high <= MAX_TOKENS:
            expected = f"two integers in 1..{MAX_TOKENS}, the least first"
            raise InputError(f"lengths: expected {expected}; got {self.low}, {self.high}")

    def draw(self, n: int, rng: Generator) -> NDArray[np.int64]:
        """Return `n` lengths."""
        return rng.integers(self.low, self.high, n, dtype=np.int64, endpoint=True)


@dataclass(frozen=True)
class Beta:
    """A beta distribution on 0..`most`, rounded, at least 1; a wide one gathers at both ends.

    Attributes
    ----------
    mean, std : float
        Of the distribution, before rounding.
    most : int
        Its upper end, as of answers to which ``max_tokens`` puts one.
    """

    mean: float
    std: float
    most: int

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MAX_TOKENS:
            raise InputError(f"lengths: expected a most in 1..{MAX_TOKENS}, got {self.most}")
        if not 1 <= self.mean < self.most:
            raise InputError(
                f"lengths: expected a mean >= 1 and below {self.most}, got {self.mean}"
            )
        # With everything at one end or the other the std is the root; that is the limit of a beta.
        widest = 0.9999 * math.sqrt(self.mean * (self.most - self.mean))
        if not 1e-6 <= self.std <= widest:
            possible = f"1e-06..{widest:.6g}, as mean {self.mean:g} in 0..{self.most} allows"
            raise InputError(f"lengths: expected a std in {possible}; got {self.std}")

    def draw(self, n: int, rng: Generator) -> NDArray[np.int64]:
        """Return `n` lengths."""
        mean, std = self.mean / self.most, self.std / self.most
        both = mean * (1 - mean) / std**2 - 1  # the sum of its two parameters
        values = self.most * rng.beta(mean * both, (1 - mean) * both, n)
        return np.asarray(np.clip(np.rint(values), 1, self.most), np.int64)


@dataclass(frozen=True, eq=False)
class LengthsLike:
    """Lengths with the distribution of a sample: its inverse, read between the values too."""

    sample: NDArray[np.int64]

    def draw(self, n: int, rng: Generator) -> NDArray[np.int64]:
        """Return `n` lengths."""
        values: NDArray[np.float64] = np.quantile(self.sample, rng.random(n))
        return np.asarray(np.rint(values), np.int64)


LENGTH_FORMS = (
    "fixed:N, uniform:LOW:HIGH, lognormal:MEAN:STD[:CAP], gamma:MEAN:STD[:CAP] "
    "or beta:MEAN:STD:MOST"
)


def parse_lengths(field: str, text: str) -> LengthDistribution:
    """Read one of `LENGTH_FORMS`; `field` names it in messages.

    Raises
    ------
    InputError
        It has another form, or a number is out of range.
    """
    kind, *numbers = text.split(":")
    match kind, numbers_in(field, text, numbers):
        case "fixed", [mean] if mean.is_integer():
            return Lengths(kind, mean)
        case "uniform", [low, high] if low.is_integer() and high.is_integer():
            return Uniform(int(low), int(high))
        case "lognormal" | "gamma", [mean, std]:
            return Lengths(kind, mean, std)
        case "lognormal" | "gamma", [mean, std, cap] if cap.is_integer():
            return Lengths(kind, mean, std, int(cap))
        case "beta", [mean, std, most] if most.is_integer():
            return Beta(mean, std, int(most))
    raise InputError(f"{field}: expected {LENGTH_FORMS}; got {shown(text)}")


def numbers_in(field: str, text: str, numbers: list[str]) -> list[float]:
    """Return what stands between colons as numbers.

    Raises
    ------
    InputError
        One is none.
    """
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise InputError(
            f"{field}: expected finite numbers after the first colon, got {shown(text)}"
        )
    return values
