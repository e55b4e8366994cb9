"""The scheduler of a real engine, driven without a GPU: to record it, and to ask it.

vLLM is imported inside functions only; without it, all else works.
"""
