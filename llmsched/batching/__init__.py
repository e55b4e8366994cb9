"""Batching rules: what the engine does next. One file each; a rule is one small dataclass."""

from llmsched.contract import BatchingRule, Decide

__all__ = ["BatchingRule", "Decide"]
