"""What a step costs: the closed forms that every kind of profile shares.

One signature covers all kinds, so that the time of k decode rounds and its inverse stay closed:

    t = base(P, n) + s * sum(c^2) + x * sum(c * context) + v * KV

with P prefill tokens cut into chunks c, n decode sequences, and KV the context tokens that those
sequences read. A kind is a subclass that says by which `llmsched.kernel.prices.Price` it is
computed; a subclass of somebody else's may override `base` instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from llmsched.errors import InputError
from llmsched.kernel.prices import Apart, Asked, Padded, Price


@dataclass(frozen=True, slots=True)
class Minorant:
    """A linear under-estimate of `StepTime.base`, for lower bounds; seconds.

    It promises ``base(P, n) >= per_step_prefill + per_prefill_token * P + per_decode_seq * n`` for
    P > 0 (and n > 0 only where mixed steps have a price) and
    ``base(0, n) >= per_round + per_decode_seq * n``.
    """

    per_step_prefill: float
    per_prefill_token: float
    per_round: float
    per_decode_seq: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """Seconds of a step and of k decode rounds; the base of the four kinds.

    Attributes
    ----------
    per_kv_token_decode, per_kv_token_mixed : float
        Seconds per context token read by decodes, without and with a prefill beside them.
    per_prefill_token_sq : float
        Seconds per sum of squared chunk lengths.
    per_prefill_token_x_context : float
        Seconds per sum of (chunk length x tokens already computed before the chunk).
    mixed : bool
        Whether a step that holds both prefill and decode has a price.
    cuda_graph_padding : bool
        Whether decodes alone cost what the next batch with a CUDA graph does (vLLM's sizes).
    """

    kind: ClassVar[str]

    per_kv_token_decode: float = 0.0
    per_kv_token_mixed: float = 0.0
    per_prefill_token_sq: float = 0.0
    per_prefill_token_x_context: float = 0.0
    mixed: bool = True
    cuda_graph_padding: bool = False
    _closed: Price = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = type(self).base is StepTime.base
        closed = self._price() if own else Asked(self._shared, self)
        if own and self._prefill_extra:
            closed = Apart(self._shared, closed, self._prefill_extra)
        if own and self.cuda_graph_padding:
            closed = Padded(self._shared, closed)
        object.__setattr__(self, "_closed", closed)

    def __reduce__(self) -> str | tuple[Any, ...]:
        """Leave out what computes: another process may have the other kernel."""
        if hasattr(self, "__dict__"):  # somebody else's kind
            return object.__reduce_ex__(self, 2)
        given = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        return _made, (type(self), given)

    @property
    def _shared(self) -> tuple[float, float, float, float]:
        """What all kinds of `Price` begin with."""
        return (
            self.per_kv_token_decode,
            self.per_kv_token_mixed,
            self.per_prefill_token_sq,
            self.per_prefill_token_x_context,
        )

    def _price(self) -> Price:
        """Return what computes `base`, but for `_prefill_extra`."""
        raise NotImplementedError

    @property
    def _prefill_extra(self) -> float:
        """Seconds that a step takes longer if it holds a prefill, whatever that is."""
        return 0.0

    def base(self, prefill_tokens: int, decode_seqs: int) -> float:
        """Return the part of a step's seconds that depends on these two counts alone.

        Raises
        ------
        InputError
            Both are positive, and steps of both have no price.
        """
        if prefill_tokens and decode_seqs and not self.mixed:
            raise InputError(f"step_time.kind: {self.kind} has no price for prefill beside decodes")
        return self._closed.base(prefill_tokens, decode_seqs)

    @property
    def prefill_setup(self) -> float:
        """Seconds of a prefill-only step that do not depend on its tokens."""
        raise NotImplementedError

    def minorants(self) -> tuple[Minorant, ...]:
        """Return linear under-estimates of `base`, none implied by the others.

        Each of them yields a valid lower bound; the best bound is the largest. Where `base` is
        linear there is one, and it is tight.
        """
        raise NotImplementedError

    def step(
        self,
        prefill_tokens: int,
        sum_sq: int,
        sum_x_context: int,
        decode_seqs: int,
        kv_tokens: int,
    ) -> float:
        """Return the seconds of one step.

        Parameters
        ----------
        prefill_tokens : int
            Prompt tokens computed, over all chunks.
        sum_sq, sum_x_context : int
            Over the chunks: sum of length squared, sum of length x tokens computed before it.
        decode_seqs, kv_tokens : int
            Sequences that decode one token each, and the context tokens they read together.
        """
        return self._closed.step(prefill_tokens, sum_sq, sum_x_context, decode_seqs, kv_tokens)

    def rounds(self, decode_seqs: int, kv_tokens: int, k: int) -> float:
        """Return the seconds of k decode rounds of an unchanged batch.

        `kv_tokens` are read in the first round and `decode_seqs` more in each further one.
        """
        return self._closed.rounds(decode_seqs, kv_tokens, k)

    def rounds_until(self, decode_seqs: int, kv_tokens: int, seconds: float) -> int:
        """Return the smallest k >= 1 with ``rounds(decode_seqs, kv_tokens, k) >= seconds``."""
        return self._closed.rounds_until(decode_seqs, kv_tokens, seconds)


def _made(kind: type[StepTime], given: dict[str, Any]) -> StepTime:
    return kind(**given)


def price_of(step_time: StepTime) -> Price:
    """Return what the engine computes prices by; policies have no business there."""
    return step_time._closed
