"""What no schedule can beat of latency: means, percentiles, and the share that keeps limits."""

from llmsched.latency_bounds.bound import Bound, LatencyBounds, latency_bounds
from llmsched.latency_bounds.record import are_due, bounds_record

__all__ = ["Bound", "LatencyBounds", "are_due", "bounds_record", "latency_bounds"]
