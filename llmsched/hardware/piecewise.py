"""The kind `piecewise`: a monotone table over the tokens of a step."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

from llmsched.hardware.step_time import Minorant, StepTime
from llmsched.kernel.prices import Price, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Piecewise(StepTime):
    """A table over T = prefill tokens + decode sequences, linear between its knots.

    Two neighbouring knots (128 and 129) make a jump, as tile quantisation does. Below the first
    knot the table is constant; beyond the last one it goes on with the mean slope of its upper
    half, because the last segment alone is often flat for want of data.

    Attributes
    ----------
    tokens : tuple of int
        Knots, increasing, the first >= 1.
    seconds : tuple of float
        Seconds at the knots, non-decreasing, the first > 0.
    per_step, per_decode_seq : float
        Seconds on top of the table (CPU overhead), per step and per decode sequence.
    per_step_prefill : float or None
        Seconds on top of the table in place of `per_step` where a step holds a prefill, which may
        run outside CUDA graphs. None: the same.
    """

    kind = "piecewise"

    tokens: tuple[int, ...]
    seconds: tuple[float, ...]
    per_step: float = 0.0
    per_decode_seq: float = 0.0
    per_step_prefill: float | None = None
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _values: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _slopes: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        knots = list(zip(self.tokens, self.seconds, strict=True))
        slopes = [(b - a) / (t - s) for (s, a), (t, b) in pairwise(knots)]
        tail = _upper_slope(self.tokens, self.seconds, slopes)
        object.__setattr__(self, "_starts", (0, *self.tokens))
        object.__setattr__(
            self, "_values", tuple(self.per_step + v for v in (self.seconds[0], *self.seconds))
        )
        object.__setattr__(self, "_slopes", (0.0, *slopes, tail))
        StepTime.__post_init__(self)

    def _price(self) -> Price:
        return Table(self._shared, self._starts, self._values, self._slopes, self.per_decode_seq)

    @property
    def _prefill_extra(self) -> float:
        return 0.0 if self.per_step_prefill is None else self.per_step_prefill - self.per_step

    @property
    def prefill_setup(self) -> float:
        """Seconds of a prefill of one token: what every one owes, mostly reading the weights."""
        return self.base(1, 0)

    def minorants(self) -> tuple[Minorant, ...]:
        """Return the edges of the table's lower convex hull that meet the axis at or above 0."""
        hull: list[tuple[float, float]] = []
        for point in zip((1, *self.tokens), self._values, strict=True):
            while hull and (hull[-1][0] == point[0] or _above(hull, point)):
                hull.pop()
            hull.append(point)
        tail = self._slopes[-1]
        slopes = [(b - a) / (t - s) for (s, a), (t, b) in pairwise(hull)]
        through_origin = min([tail, *(v / t for t, v in hull)])
        slopes = [slope for slope in slopes if slope < tail] + [tail, through_origin]
        lines = [(min(v - slope * t for t, v in hull), slope) for slope in slopes]
        extra = self._prefill_extra
        return tuple(
            Minorant(at_zero + extra, slope, at_zero, slope + self.per_decode_seq)
            for at_zero, slope in dict.fromkeys((max(a, 0.0), s) for a, s in lines if a >= -1e-15)
        )


def _upper_slope(tokens: tuple[int, ...], seconds: tuple[float, ...], slopes: list[float]) -> float:
    """Return the mean slope from half of the last knot's tokens to the last knot."""
    if not slopes:
        return seconds[0] / tokens[0]
    middle = max(tokens[-1] / 2, tokens[0])
    i = bisect_right(tokens, middle) - 1
    at_middle = seconds[i] + slopes[i] * (middle - tokens[i])
    return (seconds[-1] - at_middle) / (tokens[-1] - middle)


def _above(hull: list[tuple[float, float]], point: tuple[float, float]) -> bool:
    """Return whether the hull's last point lies on or above the line from the one before."""
    if len(hull) < 2:
        return False
    (x0, y0), (x1, y1), (x2, y2) = hull[-2], hull[-1], point
    return (y1 - y0) * (x2 - x0) >= (y2 - y0) * (x1 - x0)
