"""Batching rules: what the engine does next. One file each; a rule is one small dataclass."""

from llmsched.batching.rule import BatchingRule, Decide

__all__ = ["BatchingRule", "Decide"]
