"""Named policies: an order (who is next) and a batching rule (what is next), on one screen."""

from __future__ import annotations

from llmsched.batching.chunked import Chunked
from llmsched.batching.lagrangian import Lagrangian
from llmsched.batching.prefill_first import PrefillFirst
from llmsched.batching.shortest_remaining import ShortestRemaining
from llmsched.batching.static import Static
from llmsched.batching.whole_stage import WholeStage
from llmsched.contract import Policy
from llmsched.orders.fcfs import Fcfs
from llmsched.orders.ljf import Ljf
from llmsched.orders.plan import Plan
from llmsched.orders.priority import Priority
from llmsched.orders.random import Random
from llmsched.orders.sif import Sif
from llmsched.orders.sjf import Sjf
from llmsched.real.installed import NEEDS, is_installed
from llmsched.rehearsal import Candidate, Rehearsal


def _beside(plan: Candidate) -> list[Candidate]:
    """Return plans whose slots wait as long but align otherwise, and other named policies' parts.

    The whole-stage rule on longest first is now and then the best where all steps owe one set-up;
    plain longest first and the static plan that waits for a whole stage where KV blocks are few.
    """
    _, rule = plan
    aligned: list[Candidate] = [(Plan(align=rounds), rule) for rounds in (0, 3, 5, 1)]
    staged: list[Candidate] = [(Ljf(), WholeStage(0.3)), (Ljf(), WholeStage(0.1))]
    return [*aligned, *staged, (Ljf(), PrefillFirst()), (Plan(steal=False), WholeStage())]


_HYBRID = Rehearsal(
    (
        [(Plan(), Lagrangian(extra_rounds=r)) for r in (0, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48)],
        [(Ljf(), Lagrangian(multiplier=m)) for m in (0.5, 0.3, 1.0, 1.5, 0.0)],
        [(Plan(steal=False), PrefillFirst())],
        [(Ljf(), Chunked())],
    ),
    _beside,
)

NAMED = {
    policy.name: policy
    for policy in (
        Policy("fcfs", Fcfs(), PrefillFirst(), "first come first served, prefill first (baseline)"),
        Policy("static", Fcfs(), Static(), "a batch runs until its last request has finished"),
        Policy("sjf", Sjf(), PrefillFirst(), "shortest predicted output first"),
        Policy("ljf", Ljf(), PrefillFirst(), "longest predicted output first (LPT)"),
        Policy("offline", Plan(steal=False), PrefillFirst(), "the packed plan, nothing online"),
        Policy(
            "literal",
            Plan(steal=False),
            WholeStage(),
            "a reading of the abstract: insert once waiting costs a whole stage",
        ),
        Policy("online", Ljf(), Lagrangian(), "longest first, prefills held back; no plan"),
        Policy(
            "hybrid",
            *_HYBRID.ladders[0][0],
            "plan, stealing, prefills held back; rehearsed on the predicted batch",
            _HYBRID,
        ),
        Policy("vllm", Fcfs(), Chunked(), "chunked prefill beside the decodes (vLLM v1)"),
        Policy(
            "vllm-plain",
            Fcfs(),
            Chunked(),
            "vllm without prefix caching, and each step scheduled when the last one has ended",
            knobs=(("enable_prefix_caching", False), ("async_scheduling", False)),
        ),
        Policy(
            "priority",
            Priority(),
            Chunked(),
            "chunked, the least priority first; the greatest is preempted (vLLM's own)",
            knobs=(("victim", "least_urgent"),),
        ),
        Policy(
            "vllm-v0",
            Fcfs(),
            PrefillFirst(),
            "prefill first, 1 % of the KV blocks kept free (vLLM v0)",
            knobs=(("watermark", 0.01),),
        ),
        Policy(
            "sarathi",
            Fcfs(),
            Chunked(token_budget=512),
            "chunked, 512 tokens a step (Sarathi-Serve)",
        ),
        Policy(
            "orca",
            Fcfs(),
            Chunked(split=False),
            "mixed steps, whole prompts, KV blocks reserved for the output limit (Orca)",
            knobs=(("reserve", "max_output"),),
        ),
        Policy(
            "srpt",
            Sif(),
            ShortestRemaining(),
            "shortest remaining prompt first, beside the decodes; no predictions",
        ),
        Policy("random", Random(), PrefillFirst(), "seeded random order (control)"),
    )
}

ABSENT = {} if is_installed() else {"vllm-real": NEEDS}
"""Named policies that need what is not installed, and what that is."""

if is_installed():
    from llmsched.real.rule import Real

    NAMED["vllm-real"] = Policy(
        "vllm-real",
        Fcfs(),
        Real(),
        "what the scheduler of the installed vLLM decides, asked at every step",
        knobs=NAMED["vllm-plain"].knobs,
    )
