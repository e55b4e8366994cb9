"""Benchmarks: run one with `python benchmarks/NAME.py`."""
