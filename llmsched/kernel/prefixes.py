"""Prefix caching: which blocks hold what, who holds them, and which are given up first.

As vLLM's: a block is known by its tokens and all before them; one that nobody holds is found until
it is needed for something else, and the least recently freed goes first. Blocks of one segment of
the trace's tree (`llmsched.prefixes`) that were computed, held and freed together are one run, so
that a prompt of thousands of blocks is a few runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmsched.columns import ints
from llmsched.kernel.requests import appended


class Run:
    """Blocks `low` to `high` of a segment, held by `users` sequences.

    Attributes
    ----------
    before, after : Run
        Its neighbours among the runs that nobody holds; None where somebody does.
    rest : Run or None
        What was cut off from its end.
    """

    def __init__(self, segment: int, low: int, high: int, users: int) -> None:
        self.segment, self.low, self.high, self.users = segment, low, high, users
        self.before: Run | None = None
        self.after: Run | None = None
        self.rest: Run | None = None


class Held:
    """What a running sequence holds of the cache: runs, and where each one ends for it.

    Attributes
    ----------
    blocks : int
        Known by their tokens, from the first on.
    entry, base : int
        The entry of its path that the next block is on, and the blocks before that entry.
    tokens, since : int
        Computed before it began to decode, and the round at which it did.
    answers : int
        The segment that it decodes on, if others may be on it; else -1.
    """

    def __init__(self, entry: int) -> None:
        self.entry = entry
        self.base = self.blocks = self.tokens = self.since = 0
        self.answers = -1
        self.runs: list[Run] = []
        self.ends: list[int] = []


class Prefixes:
    """The blocks of one engine that are known by their tokens.

    Attributes
    ----------
    idle : int
        Blocks that can be found and nobody holds: they count as free.
    clock : int
        Decode round up to which the answers of decoding sequences are known by their tokens.
    hits, idle_hits : int
        Blocks that the last `find` found, and those of them that nobody holds.
    """

    def __init__(self, block_size: int) -> None:
        self.block_size = block_size
        self.idle = self.clock = self.hits = self.idle_hits = 0
        self.oldest = self.newest = Run(-1, 0, 0, 0)  # an entry of its own before all others
        self.copies: dict[int, list[Run]] = {}  # by segment, in the order in which they were known
        self.held: dict[int, Held] = {}  # by request
        self.decoding: dict[int, list[int]] = {}  # by segment that others may be on: requests
        self.found: list[Run] = []
        self.places: list[int] = []
        self.ends: list[int] = []
        self.found_for = self.found_most = self.found_clock = self.ended_on = -1
        self.changes, self.found_at = 0, -1
        self.doubled = False
        self.requests = self.entries = 0
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros(0, np.int64) for name in ("start", "segment", "length", "shared")
        }
        self._look()
        self.row_of = ints(np.zeros(0, np.int64))
        self.renumbered = False

    def add(
        self,
        start: NDArray[np.int64],
        segment: NDArray[np.int64],
        length: NDArray[np.int64],
        shared: NDArray[np.int64],
    ) -> None:
        """Add the paths of requests: entries of each, and segments, blocks of entries.

        `shared` says whether more than one request is on an entry's segment.
        """
        columns = self._columns
        columns["start"] = appended(columns["start"], self.requests, start[:-1] + self.entries)
        for name, new in (("segment", segment), ("length", length), ("shared", shared)):
            columns[name] = appended(columns[name], self.entries, new)
        self.requests += len(start) - 1
        self.entries += len(segment)
        self._look()

    def _look(self) -> None:
        self.start, self.segment = ints(self._columns["start"]), ints(self._columns["segment"])
        self.length, self.shared = ints(self._columns["length"]), ints(self._columns["shared"])

    def number(self, row_of: NDArray[np.int64]) -> None:
        """Let requests have other numbers than rows."""
        self.row_of, self.renumbered = ints(row_of), True

    def first_entry(self, request: int) -> int:
        """Return where the path of a request begins."""
        return self.start[self.row_of[request] if self.renumbered else request]

    # Finding.

    def find(self, request: int, most: int) -> int:
        """Return how many of a request's first `most` blocks are known, from the first on."""
        if (
            self.found_for == request
            and self.found_most == most
            and self.found_at == self.changes
            and self.found_clock == self.clock
        ):
            return self.hits
        self.found_for, self.found_most, self.found_clock = request, most, self.clock
        self.ended_on, self.doubled = -1, False
        self.hits = self.idle_hits = 0
        self.found.clear()
        self.places.clear()
        self.ends.clear()
        entry = self.first_entry(request)
        base = 0
        while self.hits < most:
            most_here = min(self.length[entry], most - base)
            if self._find_on(self.segment[entry], most_here) < most_here:
                self.ended_on = self.segment[entry]
                break
            base += most_here
            entry += 1
        self.found_at = self.changes
        return self.hits

    def _find_on(self, segment: int, most: int) -> int:
        """Find a segment's first blocks, each in the copy that was known first."""
        if self.decoding and segment in self.decoding:
            self._catch_up(segment, -1)
        copies = self.copies.get(segment)
        if copies is None:
            return 0
        place = 0
        while place < most:
            best: Run | None = None
            end = most
            for run in copies:
                if run.low <= place < run.high:
                    best = run
                    break
                if place < run.low < end:
                    end = run.low
            if best is None:
                break
            end = min(end, best.high)
            self.found.append(best)
            self.places.append(place)
            self.ends.append(end)
            self.hits += end - place
            if not best.users:
                self.idle_hits += end - place
                self.doubled = self.doubled or len(copies) > 1
            place = end
        return place

    def may_find_more(self) -> bool:
        """Whether who was looked for last may find more with the next token of somebody.

        Or as much for fewer blocks, once what nobody holds is forgotten and somebody has a copy.
        """
        return self.doubled or self.ended_on in self.decoding

    def hold(self, request: int) -> int:
        """Let a request that is admitted hold what was found for it; return blocks no more idle."""
        entry = self.first_entry(request)
        held = self.held[request] = Held(entry)
        idle = self.idle
        for i in range(len(self.found)):
            run, place, end = self.found[i], self.places[i], self.ends[i]
            while run.high <= place:
                assert run.rest is not None
                run = run.rest
            if run.low < place:
                self._split(run, place)
                assert run.rest is not None
                run = run.rest
            if end < run.high:
                self._split(run, end)
            if not run.users:
                self._take_out(run)
            run.users += 1
            held.runs.append(run)
            held.ends.append(end)
        held.blocks = self.hits
        self._move_on(held)
        self.changes += 1
        return idle - self.idle

    def _split(self, run: Run, place: int) -> None:
        """Make two runs of one; nobody's blocks are given up in another order than before."""
        rest = Run(run.segment, place, run.high, run.users)
        rest.rest = run.rest
        run.rest = rest
        run.high = place
        copies = self.copies[run.segment]
        copies.insert(copies.index(run) + 1, rest)
        if not run.users:
            before = run.before
            assert before is not None
            before.after, rest.before = rest, before
            rest.after, run.before = run, rest

    # Knowing.

    def register(self, request: int, tokens: int) -> None:
        """Let the full blocks of a request's first `tokens` tokens be known."""
        held = self.held[request]
        upto = tokens // self.block_size
        while held.blocks < upto:
            segment = self.segment[held.entry]
            place = held.blocks - held.base
            end = min(self.length[held.entry], upto - held.base)
            if self.decoding and segment in self.decoding:
                self._catch_up(segment, request)
            self._append(held, segment, place, end)
            held.blocks = held.base + end
            self._move_on(held)

    def _move_on(self, held: Held) -> None:
        """Go on to the entry of the path that the next block is on."""
        while held.blocks - held.base >= self.length[held.entry]:
            held.base += self.length[held.entry]
            held.entry += 1

    def _append(self, held: Held, segment: int, low: int, high: int) -> None:
        """Let blocks of a segment be known that a sequence holds alone."""
        self.changes += 1
        copies = self.copies.get(segment)
        if copies is None:
            copies = self.copies[segment] = []
        if held.runs and copies:
            last = held.runs[len(held.runs) - 1]
            if (
                last is copies[len(copies) - 1]
                and last.users == 1
                and last.high == low
                and held.ends[len(held.ends) - 1] == low
            ):
                last.high = high
                held.ends[len(held.ends) - 1] = high
                return
        run = Run(segment, low, high, 1)
        copies.append(run)
        held.runs.append(run)
        held.ends.append(high)

    def begin(self, request: int, tokens: int, clock: int) -> None:
        """Let a request decode from a round on, whose answer others may have as well."""
        held = self.held[request]
        if self.shared[held.entry]:
            held.tokens, held.since, held.answers = tokens, clock, self.segment[held.entry]
            self.decoding.setdefault(held.answers, []).append(request)

    def end(self, request: int) -> None:
        """Let a request stop to decode."""
        held = self.held[request]
        if held.answers < 0:
            return
        requests = self.decoding[held.answers]
        requests.remove(request)
        if not requests:
            del self.decoding[held.answers]
        held.answers = -1

    def _catch_up(self, segment: int, but: int) -> None:
        """Let the answers on a segment be known as far as they have come, but for one request's."""
        for request in self.decoding[segment]:
            held = self.held[request]
            tokens = held.tokens + self.clock - held.since
            upto = min(tokens // self.block_size, held.base + self.length[held.entry])
            if request != but and held.blocks < upto and self.segment[held.entry] == segment:
                self._append(held, segment, held.blocks - held.base, upto - held.base)
                held.blocks = upto
                self._move_on(held)

    # Giving back.

    def release(self, request: int) -> int:
        """Let a request hold nothing any more; return the blocks that it held, now known.

        Those that nobody else holds are idle: its last one is given up first.
        """
        held = self.held.pop(request)
        self.changes += 1
        for i in range(len(held.runs) - 1, -1, -1):
            run = held.runs[i]
            if run.high == held.ends[i]:
                self._leave(run)
            else:
                self._leave_all(run, held.ends[i])
        return held.blocks

    def _leave_all(self, first: Run, end: int) -> None:
        """Leave a run and what was cut off from it, up to a place, from the last block on."""
        runs = [first]
        run = first
        while run.high < end:
            assert run.rest is not None
            run = run.rest
            runs.append(run)
        for i in range(len(runs) - 1, -1, -1):
            self._leave(runs[i])

    def _leave(self, run: Run) -> None:
        run.users -= 1
        if run.users:
            return
        last = self.newest
        last.after, run.before = run, last
        self.newest = run
        self.idle += run.high - run.low

    def _take_out(self, run: Run) -> None:
        """Take a run out of those that nobody holds."""
        before, after = run.before, run.after
        assert before is not None
        before.after = after
        if after is None:
            self.newest = before
        else:
            after.before = before
        run.before = run.after = None
        self.idle -= run.high - run.low

    def evict(self, blocks: int) -> None:
        """Forget what so many blocks hold that nobody holds: the least recently freed first."""
        self.changes += 1
        while blocks > 0:
            run = self.oldest.after
            assert run is not None
            count = min(blocks, run.high - run.low)
            blocks -= count
            if count < run.high - run.low:
                run.high -= count
                self.idle -= count
                return
            self._take_out(run)
            copies = self.copies[run.segment]
            copies.remove(run)
            if not copies:
                del self.copies[run.segment]
