"""Packing at a fixed makespan as an integer flow, and what proves that there is none.

A bin is a path from node 0 through partial loads: an arc from p to p + size places one request, in
order of falling size. Valério de Carvalho, "Exact solution of bin-packing problems using column
generation and branch-and-bound" (1999); Mrad and Souayah, "An arc-flow model for the makespan
minimization problem on identical parallel machines" (2018).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy import sparse

MOST_ARCS = 60_000
MOST_CELLS = 2_000_000
"""Loads times sizes, above which the arcs are not even counted."""
SCALE = 10**7
"""Dual prices are rounded to multiples of 1/SCALE before the exact check."""


@dataclass(frozen=True, eq=False)
class Network:
    """The arcs that a packing with makespan <= `capacity` can use.

    Attributes
    ----------
    bins, capacity : int
        Number of bins, and the makespan asked for.
    size, demand : int64, shape (k,)
        The distinct positive durations, falling, and how many requests have each.
    tail, item : int64, shape (arcs,)
        An arc places one request of ``size[item]`` on top of load `tail`.
    least_load : int
        No bin may stay below this: the bins' joint waste is ``bins * capacity - sum``.
    """

    bins: int
    capacity: int
    size: NDArray[np.int64]
    demand: NDArray[np.int64]
    tail: NDArray[np.int64]
    item: NDArray[np.int64]
    least_load: int

    @property
    def head(self) -> NDArray[np.int64]:
        """Load on top of each arc."""
        return self.tail + self.size[self.item]

    def rows(self) -> tuple[sparse.csr_array, NDArray[np.float64], NDArray[np.float64]]:
        """Return matrix, least and most value of the rows that make an arc vector a packing.

        First a row a node: bins that leave the source (at most all, at least all that may not stay
        empty), and elsewhere bins that end there (none below `least_load`). Then a row a size: all
        its requests are placed.
        """
        from scipy import sparse

        node, place = np.unique(np.concatenate([[0], self.tail, self.head]), return_inverse=True)
        count = len(self.tail)
        tail, head = place[1 : 1 + count], place[1 + count :]
        row = np.concatenate([tail, head, len(node) + self.item])
        sign = np.ones(3 * count)
        sign[:count] = np.where(tail == 0, 1, -1)
        shape = (len(node) + len(self.size), count)
        matrix = sparse.csr_array((sign, (row, np.tile(np.arange(count), 3))), shape=shape)
        may_end = node >= self.least_load
        least = np.concatenate([np.zeros(len(node)), self.demand])
        most = np.concatenate([np.where(may_end, self.bins, 0), self.demand])
        least[0], most[0] = (0 if may_end[0] else self.bins), self.bins
        return matrix, least, most


def build(durations: NDArray[np.int64], bins: int, capacity: int) -> Network | None:
    """Build the network, or return None where it is too large to be searched.

    Sets of loads are the bits of one integer. A forward pass keeps the loads that larger requests
    can reach; a backward pass keeps those from which smaller ones can still reach `least_load`.
    """
    count = Counter(durations[durations > 0].tolist())
    size = sorted(count, reverse=True)
    if capacity * len(size) > MOST_CELLS:
        return None
    copies = [min(count[s], capacity // s) for s in size]
    waste = bins * capacity - int(durations.sum())
    least_load = max(capacity - waste, 0)
    reached, tails = 1, []
    for s, most in zip(size, copies, strict=True):
        start, layer = 0, reached
        for _ in range(most):
            layer &= (1 << capacity - s + 1) - 1
            start |= layer
            layer <<= s
            reached |= layer
        tails.append(start)
    useful = ((1 << capacity + 1) - 1) >> least_load << least_load
    for k in range(len(size) - 1, -1, -1):
        layer = useful
        for _ in range(copies[k]):
            layer >>= size[k]
            useful |= layer
        tails[k] &= useful >> size[k]
    if sum(start.bit_count() for start in tails) > MOST_ARCS:
        return None
    loads = [_bits(start) for start in tails]
    return Network(
        bins=bins,
        capacity=capacity,
        size=np.array(size, dtype=np.int64),
        demand=np.array([count[s] for s in size], dtype=np.int64),
        tail=np.concatenate([*loads, np.empty(0, np.int64)]),
        item=np.repeat(np.arange(len(size)), [len(some) for some in loads]),
        least_load=least_load,
    )


def _bits(word: int) -> NDArray[np.int64]:
    raw = np.frombuffer(word.to_bytes(word.bit_length() // 8 + 1, "little"), dtype=np.uint8)
    return np.flatnonzero(np.unpackbits(raw, bitorder="little")).astype(np.int64)


def is_refuted(network: Network, seconds: float = float("inf")) -> bool:
    """Return whether the linear relaxation proves that no packing has this makespan.

    The relaxation leaves as few requests unplaced as it can. Its dual prices the sizes; the prices
    are rounded to integers, and the dearest path is found exactly. If all requests together cost
    more than `bins` times the dearest path, no packing exists. This bound equals that of Gilmore
    and Gomory's column generation, and rounding errors of the LP solver cannot make it wrong.
    After `seconds` of wall-clock time the answer is no.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    if not len(network.size):
        return False
    matrix, least, most = network.rows()
    sizes = len(network.size)
    nodes = matrix.shape[0] - sizes
    unplaced = sparse.csr_array(
        (np.ones(sizes), (np.arange(nodes, nodes + sizes), np.arange(sizes))),
        shape=(matrix.shape[0], sizes),
    )
    whole = sparse.hstack([matrix, unplaced]).tocsr()
    ranged = np.flatnonzero(most[:nodes] > least[:nodes])
    fixed = np.setdiff1d(np.arange(matrix.shape[0]), [*ranged, 0])
    at_most = np.unique(np.concatenate([ranged, [0]]))
    result = linprog(  # type: ignore[call-overload]  # the stubs know no sparse matrices
        np.concatenate([np.zeros(matrix.shape[1]), np.ones(sizes)]),
        A_ub=sparse.vstack([-whole[ranged], whole[at_most]]),
        b_ub=np.concatenate([-least[ranged], most[at_most]]),
        A_eq=whole[fixed],
        b_eq=most[fixed],
        method="highs",
        options={"time_limit": seconds},
    )
    if result.status != 0 or result.fun < 1e-6:
        return False
    price = np.rint(result.eqlin.marginals[-sizes:] * SCALE).astype(np.int64)
    return int(price @ network.demand) > network.bins * _dearest_path(network, price)


def _dearest_path(network: Network, price: NDArray[np.int64]) -> int:
    """Return the largest price of a path that may end, in exact integers."""
    step = price[network.item].tolist()
    tail, head = network.tail.tolist(), network.head.tolist()
    best: dict[int, int] = {0: 0}
    for k in np.argsort(network.tail, kind="stable").tolist():
        if tail[k] in best:
            value = best[tail[k]] + step[k]
            if value > best.get(head[k], value - 1):
                best[head[k]] = value
    return max((best[load] for load in best if load >= network.least_load), default=0)


def decompose(
    network: Network, flow: NDArray[np.int64], durations: NDArray[np.int64]
) -> list[list[int]]:
    """Turn an integer flow into the requests of each bin; zero durations are dealt out in turn."""
    waiting: defaultdict[int, list[int]] = defaultdict(list)
    for request in range(len(durations) - 1, -1, -1):
        waiting[int(durations[request])].append(request)
    arcs: defaultdict[int, list[list[int]]] = defaultdict(list)
    for k in np.flatnonzero(flow).tolist():
        arcs[int(network.tail[k])].append([int(network.size[network.item[k]]), int(flow[k])])
    members: list[list[int]] = []
    for _ in range(network.bins):
        load, requests = 0, []
        while arcs[load]:
            arc = arcs[load][-1]
            arc[1] -= 1
            if arc[1] == 0:
                arcs[load].pop()
            requests.append(waiting[arc[0]].pop())
            load += arc[0]
        members.append(requests)
    for k, request in enumerate(reversed(waiting[0])):
        members[k % network.bins].append(request)
    return members
