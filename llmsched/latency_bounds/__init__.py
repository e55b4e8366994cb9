"""What no schedule can beat of latency: means, percentiles, and the share that keeps limits."""

from llmsched.latency_bounds.bound import Bound, LatencyBounds, latency_bounds

__all__ = ["Bound", "LatencyBounds", "latency_bounds"]
