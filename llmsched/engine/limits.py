"""What an engine takes of a trace, found before the first step: who is refused, who is cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.config import EngineConfig
from llmsched.contract import Jobs, Policy
from llmsched.engine.refusal import Refusal, describe_unserved
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.trace import MAX_TOKENS, Trace, token_counts

OnError: TypeAlias = Literal["fail", "skip"]
"""What a request is that can never be served: an error, or refused and counted."""


def on_error_of(option: object) -> OnError:
    """Return what an option of a trace says of such requests; by default they are an error."""
    return "skip" if option == "skip" else "fail"


@dataclass(frozen=True, eq=False)
class Served:
    """What an engine takes of a trace: the rest is refused at once, and long answers are cut.

    Attributes
    ----------
    trace : Trace
        The requests that it takes, with the output that it lets them have.
    rows : int64, shape (taken,)
        Their rows in the whole trace.
    refusal : int8, shape (n,)
        A `Refusal` for each request of the whole trace.
    """

    trace: Trace
    whole: Trace
    rows: NDArray[np.int64]
    refusal: NDArray[np.int8]

    def check_some(self, config: EngineConfig, way_out: str) -> None:
        """Refuse to go on with nobody.

        Raises
        ------
        InputError
            All requests are refused.
        """
        if not len(self.rows):
            words = self.describe(config)
            raise InputError(f"{self.whole.name}: no request is served: {words}{way_out}")

    def describe(self, config: EngineConfig) -> str:
        """Say how many are refused and why, and how many answers are cut; "" if none."""
        cut = int((self.trace.output_tokens < self.whole.output_tokens[self.rows]).sum())
        return describe_unserved(self.refusal, cut, self.whole.id, config)


@dataclass(frozen=True, eq=False)
class Intake:
    """The requests of a trace as an engine takes them, lengths and all.

    Attributes
    ----------
    trace : Trace
        Those that are taken, with the output that they are let have.
    arrival : float64, shape (taken,)
        Seconds; infinite where only a finish makes a request arrive, which nobody knows.
    predicted, limit : int64, shape (taken,)
        Output lengths as policies see them, and the limits of outputs.
    served : Served or None
        Where they are in the trace that they came with; None if that is the same one.
    concurrency : int or None
        Users of a closed loop, each of whom goes through a session before the next one.
    """

    trace: Trace
    arrival: NDArray[np.float64]
    predicted: NDArray[np.int64]
    limit: NDArray[np.int64]
    config: EngineConfig
    hardware: HardwareProfile
    served: Served | None = None
    concurrency: int | None = None

    def known(self) -> Jobs:
        """Return what a policy may know before time begins: the requests that arrive at 0."""
        arrival, prompt, predicted, limit, priority = self.known_at_start()
        classes = self.trace.job_class
        if classes is not None and self.trace.delay is not None:
            classes = classes[self._at_0]
        known = () if classes is None else classes[: len(arrival)].tolist()
        return Jobs(arrival, prompt, predicted, self.config, self.hardware, limit, known, priority)

    def known_at_start(self) -> list[NDArray[Any]]:
        """Return the columns of those requests."""
        trace = self.trace
        urgency = np.zeros(len(trace), np.int64) if trace.priority is None else trace.priority
        columns = (self.arrival, trace.input_tokens, self.predicted, self.limit, urgency)
        return [column[self._at_0] for column in columns]

    @property
    def _at_0(self) -> slice | NDArray[np.int64]:
        """Their rows: whoever follows nobody and arrives then."""
        if self.trace.delay is None:
            return slice(int(np.searchsorted(self.arrival, 0.0, side="right")))
        return np.flatnonzero((self.arrival <= 0) & (self.trace.previous < 0))

    @property
    def last_known(self) -> float:
        """Seconds: the last arrival of whoever follows nobody; infinite where a user is awaited."""
        if self.trace.delay is None:
            return float(self.arrival[-1])
        return float(self.arrival[self.trace.previous < 0].max())


def admit(
    trace: Trace,
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig,
    *,
    predicted: NDArray[np.int64] | None = None,
    concurrency: int | None = None,
    on_error: OnError = "fail",
) -> Intake:
    """Return the requests as an engine takes them, if a replay of them can end.

    Parameters
    ----------
    predicted : int64, shape (n,), optional
        Output lengths as the policy sees them; by default the true ones, as far as they come.
    concurrency : int, optional
        Closed loop: this many arrive at 0, and the others when one finishes, which nobody knows.
    on_error : {"fail", "skip"}
        As in `serve`.

    Raises
    ------
    InputError
        As `check_limits`, `serve` and `check_lengths`; in a closed loop a session's first or
        last turn is refused.
    """
    check_limits(hardware, policy, config, concurrency)
    served = serve(trace, config, on_error, hardware.way_out)
    taken = served.trace
    lengths, limit = taken.output_tokens, output_limits(taken, config)
    if predicted is not None and predicted is not trace.output_tokens:
        lengths = check_lengths(trace, predicted)
        lengths = lengths if len(taken) == len(trace) else lengths[served.rows]
    arrival = taken.arrival
    if concurrency is not None:
        _check_ends(served)
        arrival = np.zeros(len(taken))
        arrival[np.flatnonzero(taken.previous < 0)[concurrency:]] = np.inf
    partly = None if taken is trace else served
    return Intake(taken, arrival, lengths, limit, config, hardware, partly, concurrency)


def _check_ends(served: Served) -> None:
    """Refuse a closed loop in which a user would not know when a session begins, or ends.

    Raises
    ------
    InputError
        The first or the last turn of a session of several is refused.
    """
    whole = served.whole
    refused = (served.refusal != Refusal.NONE) & ((whole.previous >= 0) == whole.is_last)
    if refused.any():
        who = f"{whole.name}: request {whole.id[int(refused.argmax())]!r}"
        raise InputError(
            f"{who}: expected first and last turns of sessions that the engine serves, as a closed "
            "loop has users who wait for them"
        )


def serve(
    trace: Trace, config: EngineConfig, on_error: OnError = "fail", way_out: str = ""
) -> Served:
    """Return what an engine takes of a trace, and how much output it lets each request have.

    A prompt that fills ``max_model_len`` is refused, and so is one that a declared limit takes
    beyond it; without one the answer ends there. vLLM's server has done so since 0.5. An answer
    beyond its output limit ends at the limit.

    Parameters
    ----------
    on_error : {"fail", "skip"}
        Whether a request that can never fit into the KV cache is an error or is refused as well.
    way_out : str
        What the message of that error says after it.

    Raises
    ------
    InputError
        A request can never fit; the message says how many, and what can be done.
    """
    prompt, output = trace.input_tokens, trace.output_tokens
    most = np.minimum(output, np.maximum(1, _ends_at(trace, config)))
    refusal = np.zeros(len(trace), np.int8)
    if config.max_model_len is not None:
        declared = 0 if trace.max_output_tokens is None else trace.max_output_tokens
        refusal[prompt + declared > config.max_model_len] = Refusal.LIMIT_TOO_LONG
        refusal[prompt >= config.max_model_len] = Refusal.PROMPT_TOO_LONG
    unfit = _never_fit(trace, most, config) & (refusal == Refusal.NONE)
    if unfit.any():
        if on_error != "skip":
            raise InputError(_unfit_words(trace, most, unfit, config) + way_out)
        refusal[unfit] = Refusal.NEVER_FITS
    rows = np.flatnonzero(refusal == Refusal.NONE)
    taken = trace if len(rows) == len(trace) else trace.take(rows)
    if (most < output).any():
        taken = taken.with_outputs(most[rows])
    return Served(taken, trace, rows, refusal)


def serve_some(
    trace: Trace, config: EngineConfig, on_error: OnError = "fail", way_out: str = ""
) -> Served:
    """Return what an engine takes of a trace, as `serve` does, if that is anything.

    Raises
    ------
    InputError
        As `serve`; or all requests are refused.
    """
    served = serve(trace, config, on_error, way_out)
    served.check_some(config, way_out)
    return served


def _ends_at(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """Return the output tokens at which each answer ends, whatever it would come to."""
    prompt, declared, knob = trace.input_tokens, trace.max_output_tokens, config.max_output_tokens
    room = MAX_TOKENS if config.max_model_len is None else config.max_model_len - prompt
    limits = np.full_like(prompt, MAX_TOKENS if knob is None else knob)
    if declared is not None:
        limits = np.where(declared > 0, declared, limits)
    return np.minimum(limits, room)


def that_fit(
    predicted: NDArray[np.int64], input_tokens: NDArray[np.int64], config: EngineConfig
) -> NDArray[np.int64]:
    """Return predicted output lengths of at most what fits into the KV cache beside the prompt.

    A prediction may exceed that, but no request does: it would not be admitted to a replay.
    """
    blocks = config.usable_blocks
    if blocks is None:
        return predicted
    return np.maximum(1, np.minimum(predicted, blocks * config.block_size + 1 - input_tokens))


def output_limits(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """Return the output tokens that each request is limited to, shape (n,).

    That is what it declared, else the knob ``max_output_tokens``, and never more than
    ``max_model_len`` leaves. Where nobody said anything, an engine that reserves a request's output
    has to assume something: the greatest output of the trace, as an operator who knows it would
    set. What nobody declared or set is also cut to what fits into the KV cache beside the prompt.
    """
    limits = _ends_at(trace, config)
    if config.max_output_tokens is not None:
        return limits
    rest = limits
    if config.reserve != "none":
        rest = np.minimum(limits, trace.longest_output)
    rest = that_fit(rest, trace.input_tokens, config)
    declared = trace.max_output_tokens
    return rest if declared is None else np.where(declared > 0, limits, rest)


def describe_output_limits(trace: Trace, config: EngineConfig) -> str:
    """Say in a few words where the limits that an engine reserves for come from; "" if it does not.

    See :func:`output_limits`.
    """
    if config.reserve == "none":
        return ""
    if config.max_output_tokens is not None:
        rest = f"{config.max_output_tokens:,}"
    else:
        rest = f"assumed: the trace's greatest, {trace.longest_output:,}"
    declared = trace.max_output_tokens
    count = 0 if declared is None else int(np.count_nonzero(declared))
    if not count:
        return f"output limit {rest}"
    if count == len(trace):
        return "output limits declared"
    return f"output limits declared by {count:,} of {len(trace):,} requests, else {rest}"


def as_predicted(trace: Trace, predicted: NDArray[np.int64], config: EngineConfig) -> Trace:
    """Return the trace as if predicted lengths came true, as far as an engine would let them."""
    fitting = that_fit(predicted, trace.input_tokens, config)
    lengths = np.minimum(fitting, output_limits(trace, config))
    return trace.with_outputs(lengths)


def check_lengths(trace: Trace, predicted: ArrayLike) -> NDArray[np.int64]:
    """Return predicted output lengths as integers, one a request.

    Raises
    ------
    InputError
        Another number of them, or one that is not a whole number in 1..2**30.
    """
    lengths = token_counts("predicted", "output length", predicted)
    if lengths.shape != (len(trace),):
        expected = f"one for each of {len(trace)} requests"
        raise InputError(f"predicted: expected {expected}, got shape {lengths.shape}")
    return lengths


def check_limits(
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig,
    concurrency: int | None = None,
) -> None:
    """Refuse a replay that could not end, or whose steps have no price, whatever its requests.

    Raises
    ------
    InputError
        The policy needs mixed steps and the profile cannot price them, or a decode round of all
        slots would exceed the token budget.
    """
    if policy.rule.mixed and not hardware.step_time.mixed:
        raise InputError(
            f"policy {policy.name}: needs mixed steps, which profile {hardware.name} cannot price"
            f"{hardware.way_out}"
        )
    check_concurrency(concurrency)
    budget = config.max_num_batched_tokens
    if budget is not None and budget < config.max_num_seqs:
        raise InputError(
            f"max_num_batched_tokens: expected at least max_num_seqs = {config.max_num_seqs}, so "
            f"that every running sequence can decode, got {budget}"
        )


def check_concurrency(concurrency: int | None) -> None:
    """Refuse a closed loop of nobody.

    Raises
    ------
    InputError
        It is not an integer >= 1, nor None.
    """
    whole = isinstance(concurrency, int) and not isinstance(concurrency, bool)
    if concurrency is not None and (not whole or concurrency < 1):
        raise InputError(f"concurrency: expected an integer >= 1, got {concurrency!r}")


def _never_fit(trace: Trace, output: NDArray[np.int64], config: EngineConfig) -> NDArray[np.bool_]:
    """Return which requests even the empty KV cache has too few blocks for, shape (n,)."""
    usable = config.usable_blocks
    if usable is None:
        return np.zeros(len(trace), np.bool_)
    return _blocks(trace, np.maximum(output, _reserved(trace, config)), config) > usable


def _reserved(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """Return the output tokens that blocks are set aside for, shape (n,)."""
    if config.reserve == "max_output":
        return output_limits(trace, config)
    return np.zeros(len(trace), np.int64)


def _blocks(trace: Trace, output: NDArray[np.int64], config: EngineConfig) -> NDArray[np.int64]:
    """Return the blocks of prompts and outputs, whose last tokens are never computed."""
    return -(-(trace.input_tokens + output - 1) // config.block_size)


def _unfit_words(
    trace: Trace, output: NDArray[np.int64], unfit: NDArray[np.bool_], config: EngineConfig
) -> str:
    """Say which request can never fit and why, how many there are, and the way out."""
    row, usable, why = int(unfit.argmax()), config.usable_blocks, ""
    if _blocks(trace, output, config)[row] <= usable:
        output, why = _reserved(trace, config), ", its output limit,"
    need = f"{trace.input_tokens[row]} + {output[row]}{why} tokens need"
    need += f" {_blocks(trace, output, config)[row]} KV blocks of {config.block_size}"
    return (
        f"{trace.name}: request {trace.id[row]!r} can never fit: {need}, and {usable} can be used; "
        f"{unfit.sum():,} of {len(trace):,} requests never fit: --on-error skip refuses them"
    )
