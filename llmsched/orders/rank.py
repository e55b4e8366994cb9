"""Queues by fixed keys, which most orders need nothing else than."""

from llmsched.kernel.queues import Queue, RankQueue, Weighted

__all__ = ["Queue", "RankQueue", "Weighted"]
