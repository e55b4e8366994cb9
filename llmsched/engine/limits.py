"""Inputs that cannot be simulated, found before the first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llmsched.config import EngineConfig
from llmsched.contract import Jobs, Policy
from llmsched.errors import InputError
from llmsched.hardware import HardwareProfile
from llmsched.trace import MAX_TOKENS, Trace, token_counts


@dataclass(frozen=True, eq=False)
class Intake:
    """The requests of a trace as an engine takes them, lengths and all.

    Attributes
    ----------
    arrival : float64, shape (n,)
        Seconds; infinite where only a finish makes a request arrive, which nobody knows.
    predicted, limit : int64, shape (n,)
        Output lengths as policies see them, and the limits of outputs.
    """

    trace: Trace
    arrival: NDArray[np.float64]
    predicted: NDArray[np.int64]
    limit: NDArray[np.int64]
    config: EngineConfig
    hardware: HardwareProfile

    def known(self) -> Jobs:
        """Return what a policy may know before time begins: the requests that arrive at 0."""
        arrival, prompt, predicted, limit = self.known_at_start()
        classes = self.trace.job_class
        known = () if classes is None else classes[: len(arrival)].tolist()
        return Jobs(arrival, prompt, predicted, self.config, self.hardware, limit, known)

    def known_at_start(self) -> list[NDArray[Any]]:
        """Return the columns of those requests."""
        n = int(np.searchsorted(self.arrival, 0.0, side="right"))
        return [c[:n] for c in (self.arrival, self.trace.input_tokens, self.predicted, self.limit)]


def admit(
    trace: Trace,
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig,
    *,
    predicted: NDArray[np.int64] | None = None,
    concurrency: int | None = None,
) -> Intake:
    """Return the requests as an engine takes them, if a replay of them can end.

    Parameters
    ----------
    predicted : int64, shape (n,), optional
        Output lengths as the policy sees them; the true ones by default.
    concurrency : int, optional
        Closed loop: this many arrive at 0, and the others when one finishes, which nobody knows.

    Raises
    ------
    InputError
        As `check_limits` and `check_lengths`.
    """
    check_limits(trace, hardware, policy, config, concurrency)
    lengths = trace.output_tokens
    if predicted is not None and predicted is not lengths:
        lengths = check_lengths(trace, predicted)
    arrival = trace.arrival
    if concurrency is not None:
        arrival = np.zeros(len(trace))
        arrival[concurrency:] = np.inf
    return Intake(trace, arrival, lengths, output_limits(trace, config), config, hardware)


def admissible_blocks(config: EngineConfig) -> int | None:
    """Return the KV blocks that one request may have to itself; None means no limit."""
    usable = config.usable_blocks
    return None if usable is None else usable - int(config.watermark * usable)


def that_fit(
    predicted: NDArray[np.int64], input_tokens: NDArray[np.int64], config: EngineConfig
) -> NDArray[np.int64]:
    """Return predicted output lengths of at most what fits into the KV cache beside the prompt.

    A prediction may exceed that, but no request does: it would not be admitted to a replay.
    """
    blocks = admissible_blocks(config)
    if blocks is None:
        return predicted
    return np.maximum(1, np.minimum(predicted, blocks * config.block_size + 1 - input_tokens))


def output_limits(trace: Trace, config: EngineConfig) -> NDArray[np.int64]:
    """Return the output tokens that each request is limited to, shape (n,).

    That is what it declared, else the knob ``max_output_tokens``, else what ``max_model_len``
    leaves. Where there is none of these, an engine that reserves a request's whole output has to
    assume something: the greatest output of the trace, as an operator who knows it would set.

    Nothing goes beyond ``max_model_len``. What nobody declared or set is also cut to what fits into
    the KV cache beside the prompt.
    """
    prompt = trace.input_tokens
    room = MAX_TOKENS if config.max_model_len is None else config.max_model_len - prompt
    if config.max_output_tokens is not None:
        rest = np.full_like(prompt, config.max_output_tokens)
    else:
        assumed = config.reserve == "max_output" and config.max_model_len is None
        most = np.full_like(prompt, trace.longest_output if assumed else MAX_TOKENS)
        rest = that_fit(np.minimum(most, room), prompt, config)
    declared = trace.max_output_tokens
    limits = rest if declared is None else np.where(declared > 0, declared, rest)
    return np.minimum(limits, room)


def describe_output_limits(trace: Trace, config: EngineConfig) -> str:
    """Say in a few words where the limits that an engine reserves for come from; "" if it does not.

    See :func:`output_limits`.
    """
    if config.reserve != "max_output":
        return ""
    if config.max_output_tokens is not None:
        rest = f"{config.max_output_tokens:,}"
    elif config.max_model_len is not None:
        rest = f"what max_model_len {config.max_model_len:,} leaves"
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
    return replace(trace, output_tokens=lengths, longest_of_whole=trace.longest_output)


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
    trace: Trace,
    hardware: HardwareProfile,
    policy: Policy,
    config: EngineConfig,
    concurrency: int | None = None,
) -> None:
    """Refuse a replay that could not end, or whose steps have no price.

    Raises
    ------
    InputError
        The policy needs mixed steps and the profile cannot price them, a decode round of all slots
        would exceed the token budget, a request is longer than the knobs allow, or it never fits
        into the KV cache.
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
    _check_served(trace, config)
    _check_blocks(trace, hardware, config)


def check_concurrency(concurrency: int | None) -> None:
    """Refuse a closed loop of nobody.

    Raises
    ------
    InputError
        It is not an integer >= 1, nor None.
    """
    if concurrency is not None and (not isinstance(concurrency, int) or concurrency < 1):
        raise InputError(f"concurrency: expected an integer >= 1, got {concurrency!r}")


def _check_served(trace: Trace, config: EngineConfig) -> None:
    """Refuse requests that the engine's own limits would not let finish as the trace has them."""
    prompt, output = trace.input_tokens, trace.output_tokens
    if config.max_model_len is not None and (long := prompt + output > config.max_model_len).any():
        row = int(long.argmax())
        raise InputError(
            f"{trace.name}: request {trace.id[row]!r}: expected at most max_model_len = "
            f"{config.max_model_len} tokens, got {prompt[row]} + {output[row]}"
        )
    knob = config.max_output_tokens
    if knob is not None and (long := output > output_limits(trace, config)).any():
        row = int(long.argmax())
        raise InputError(
            f"{trace.name}: request {trace.id[row]!r}: expected at most max_output_tokens = "
            f"{knob} of output, got {output[row]}"
        )


def _check_blocks(trace: Trace, hardware: HardwareProfile, config: EngineConfig) -> None:
    """Refuse requests that even the empty KV cache has too few blocks for."""
    usable = admissible_blocks(config)
    if usable is None:
        return
    needed = [(trace.output_tokens, "")]
    if config.reserve == "max_output":
        needed.append((output_limits(trace, config), ", its output limit,"))
    for output, why in needed:
        tokens = trace.input_tokens + output - 1  # the last one is never computed
        blocks = -(-tokens // config.block_size)
        if blocks.max() > usable:
            row = int((blocks > usable).argmax())
            raise InputError(
                f"{trace.name}: request {trace.id[row]!r} can never fit: {trace.input_tokens[row]} "
                f"+ {output[row]}{why} tokens need {blocks[row]} KV blocks of {config.block_size}, "
                f"and {usable} can be used{hardware.way_out}"
            )
