"""Queue disciplines: who is next. One file each; adding a policy's order is one small dataclass."""

from llmsched.contract import Jobs, Order, WaitingQueue
from llmsched.orders.rank import RankQueue

__all__ = ["Jobs", "Order", "RankQueue", "WaitingQueue"]
