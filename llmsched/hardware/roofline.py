"""The kind `roofline`: from the model's shape and the device's datasheet alone.

A layer's dense work takes the root of the sum of squares of two times, computing (FLOPs at a share
of peak) and reading its weights (at a share of the memory bandwidth): a roofline with a rounded
knee. To it are added the traffic of activations, two all-reduces and a constant a layer; attention
is priced by its FLOPs in prefill and by the KV cache it reads in decode. The efficiencies were
fitted, one set a device family; docs/accuracy.md has the errors and the command that measures them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import hypot
from types import MappingProxyType

from llmsched.hardware.step_time import Minorant, StepTime
from llmsched.kernel.prices import Knee, Price

_BYTES = 2  # bf16


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A dense decoder-only transformer with gated MLPs; counts."""

    num_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    hidden_size: int
    intermediate_size: int

    @property
    def q_width(self) -> int:
        """Width of the queries, all heads."""
        return self.num_attention_heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of the keys, all heads; that of the values too."""
        return self.num_key_value_heads * self.head_dim

    @property
    def layer_weights(self) -> int:
        """Parameters of one layer's matrices."""
        attention = self.hidden_size * 2 * (self.q_width + self.kv_width)
        return attention + 3 * self.hidden_size * self.intermediate_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasheet:
    """One device: FLOP/s in bf16, bytes/s of memory and of interconnect (one direction)."""

    peak_flops_bf16: float
    hbm_bandwidth: float
    tensor_parallel_size: int
    interconnect_bandwidth: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiencies:
    """Shares of the datasheet that real kernels reach, and what no datasheet tells."""

    mfu: float
    weight_bw_efficiency: float
    attention_mfu: float
    kv_bw_efficiency: float
    activation_traffic_factor: float
    us_per_layer: float
    us_per_allreduce: float
    allreduce_bw_efficiency: float


def _fitted(*values: float) -> Efficiencies:
    return Efficiencies(
        **dict(zip((field.name for field in fields(Efficiencies)), values, strict=True))
    )


FAMILIES: Mapping[str, Efficiencies] = MappingProxyType(
    {
        "a100-graph": _fitted(0.751, 0.783, 0.398, 0.791, 4.62, 52.1, 14.8, 0.464),
        "h100-graph": _fitted(0.845, 1.0, 0.432, 0.939, 5.03, 39.6, 18.1, 0.512),
        "a100-eager": _fitted(0.9, 1.0, 0.315, 0.732, 7.55, 72.7, 58.3, 0.387),
    }
)
"""Fitted sets; "graph" is a stack with CUDA graphs and custom all-reduce, "eager" has neither."""


EXPECTED_ERROR = (
    "3 to 8 % a step with the efficiencies of the right family, 34 to 54 % from the datasheet alone"
)
"""Mean errors measured by `benchmarks/accuracy.py roofline`, each profile left out of its fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roofline(StepTime):
    """Four numbers that follow from shape, datasheet and efficiencies; see `from_datasheet`.

    Attributes
    ----------
    fixed : float
        Seconds of every step that overlap with nothing.
    read_weights : float
        Seconds to read the weights once.
    per_token_compute, per_token_move : float
        Seconds a token to compute, and to move activations and all-reduce them.
    per_decode_seq : float
        Seconds on top for each decode sequence (CPU overhead).
    fixed_prefill : float or None
        In place of `fixed` where a step holds a prefill, which may run outside CUDA graphs. None:
        the same.
    """

    kind = "roofline"

    fixed: float
    read_weights: float
    per_token_compute: float
    per_token_move: float
    per_decode_seq: float = 0.0
    fixed_prefill: float | None = None

    @classmethod
    def from_datasheet(
        cls,
        shape: Shape,
        device: Datasheet,
        share: Efficiencies,
        *,
        per_step: float = 0.0,
        per_decode_seq: float = 0.0,
        per_step_prefill: float | None = None,
    ) -> Roofline:
        """Return the step times of a model on `tensor_parallel_size` devices.

        `per_step` and `per_decode_seq` are seconds of overhead on top; `per_step_prefill`, if
        given, takes the place of `per_step` where a step holds a prefill.
        """
        layers, ranks = shape.num_layers, device.tensor_parallel_size
        width = _BYTES * shape.hidden_size
        touched = 2 * (shape.q_width + shape.kv_width) + 3 * shape.intermediate_size
        moved = 2 * width + _BYTES * touched / ranks
        move = share.activation_traffic_factor * moved / device.hbm_bandwidth
        fixed = 1e-6 * share.us_per_layer
        if ranks > 1:
            sent = 2 * width * (ranks - 1) / ranks
            link = share.allreduce_bw_efficiency * device.interconnect_bandwidth
            move += 2 * sent / link
            fixed += 2e-6 * share.us_per_allreduce
        flops = share.mfu * device.peak_flops_bf16 * ranks
        attention_flops = share.attention_mfu * device.peak_flops_bf16 * ranks
        score = layers * 4 * shape.q_width / attention_flops
        bandwidth = device.hbm_bandwidth * ranks
        kv_read = layers * 2 * _BYTES * shape.kv_width / (share.kv_bw_efficiency * bandwidth)
        weights = layers * shape.layer_weights
        return cls(
            fixed=per_step + layers * fixed,
            read_weights=_BYTES * weights / (share.weight_bw_efficiency * bandwidth),
            per_token_compute=2 * weights / flops,
            per_token_move=layers * move,
            per_decode_seq=per_decode_seq,
            fixed_prefill=None if per_step_prefill is None else per_step_prefill + layers * fixed,
            per_kv_token_decode=kv_read,
            per_kv_token_mixed=kv_read,
            per_prefill_token_sq=0.5 * score,  # a causal mask leaves half of the scores
            per_prefill_token_x_context=score,
        )

    def _price(self) -> Price:
        return Knee(
            self._shared,
            self.fixed,
            self.read_weights,
            self.per_token_compute,
            self.per_token_move,
            self.per_decode_seq,
        )

    @property
    def _prefill_extra(self) -> float:
        return 0.0 if self.fixed_prefill is None else self.fixed_prefill - self.fixed

    @property
    def prefill_setup(self) -> float:
        """Seconds of a prefill of one token: what every one owes, mostly reading the weights."""
        return self.base(1, 0)

    def minorants(self) -> tuple[Minorant, ...]:
        """Return tangents: `base` is convex in the tokens."""
        knee = self.read_weights / self.per_token_compute
        lines = []
        for tokens in (1.0, knee / 4, knee / 2, knee, 2 * knee, 4 * knee, 16 * knee):
            root = hypot(self.per_token_compute * tokens, self.read_weights)
            step = self.fixed + self.read_weights**2 / root
            token = self.per_token_move + self.per_token_compute**2 * tokens / root
            first = step + self._prefill_extra
            lines.append(Minorant(first, token, step, token + self.per_decode_seq))
        return tuple(lines)
