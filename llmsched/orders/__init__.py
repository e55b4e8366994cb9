"""Queue disciplines: who is next. One file each; adding a policy's order is one small dataclass."""

from llmsched.orders.queue import Jobs, Order, RankQueue, WaitingQueue

__all__ = ["Jobs", "Order", "RankQueue", "WaitingQueue"]
