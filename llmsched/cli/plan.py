"""``llmsched plan``: the offline phase, for slots, for replicas, for a batch file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmsched.cli import options
from llmsched.cli.doubts import tell_of_engine, tell_of_served, tell_of_truth, warn_each
from llmsched.cli.inputs import given, one_of
from llmsched.cli.output import emit
from llmsched.cli.progress import phase
from llmsched.cli.reading import Reading, TraceArgument
from llmsched.cli.streams import terminal
from llmsched.errors import InputError
from llmsched.notes import say, warn

if TYPE_CHECKING:
    from llmsched.packing import Progress
    from llmsched.planning.batch import Batch
    from llmsched.planning.plans import Plan
    from llmsched.planning.problem import Problem

PLAN, BATCH = "Plan", "Batch file"

Replicas = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        rich_help_panel=PLAN,
        help="Split the requests over N engines of max_num_seqs slots each.",
    ),
]
Speeds = Annotated[
    str | None,
    typer.Option(
        metavar="X,X,...",
        rich_help_panel=PLAN,
        help="Speed of each replica; the fastest is 1 and has the profile's times.",
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        metavar="rounds|ms", rich_help_panel=PLAN, help="What slot loads count. Default: rounds."
    ),
]
Solver = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cp-sat|heuristic",
        rich_help_panel=PLAN,
        help="heuristic: no proof beyond simple bounds; cp-sat: the plain assignment model. "
        "Default: auto.",
    ),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        rich_help_panel=PLAN,
        help="Wall-clock cap; what it cuts short may differ from run to run.",
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        metavar="makespan|expected",
        rich_help_panel=PLAN,
        help="expected: least mean over sampled lengths; needs --lengths noisy:CV. "
        "Default: makespan.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        metavar="N", rich_help_panel=PLAN, help="Sampled lengths, if noisy. Default: 100."
    ),
]
ReplayPolicy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        rich_help_panel=PLAN,
        help="Policy that replicas are simulated with. Default: ljf, or ljf+chunked where the "
        "profile prices mixed steps.",
    ),
]
Input = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=BATCH, help="Plan an OpenAI batch file (vllm run-batch)."
    ),
]
Export = Annotated[
    Path | None,
    typer.Option(metavar="DIR", rich_help_panel=BATCH, help="Write a batch file a replica here."),
]
Priority = Annotated[
    bool,
    typer.Option(
        "--priority",
        rich_help_panel=BATCH,
        help="Write each request's place in the plan as its priority, for vLLM's "
        "--scheduling-policy priority.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", rich_help_panel=BATCH, help="Replace an earlier export.")
]
CharsPerToken = Annotated[
    float | None,
    typer.Option(
        metavar="X",
        rich_help_panel=BATCH,
        help="Estimate prompt tokens by characters. Default: 4 a token.",
    ),
]
Tokenizer = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", rich_help_panel=BATCH, help="Count them with this tokenizer.json instead."
    ),
]
Predict = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE",
        rich_help_panel=BATCH,
        help="Output lengths: max_tokens, a path in the request (body.metadata.expected), or a "
        "CSV file with custom_id,output_tokens. Default: max_tokens.",
    ),
]
Format = Annotated[
    str,
    typer.Option("--format", "-f", metavar="table|json", rich_help_panel=options.OUTPUT),
]


@dataclass(frozen=True, kw_only=True)
class Packing(options.Group):
    """What is packed, how, and by which measure."""

    replicas: Replicas = None
    speeds: Speeds = None
    unit: Unit = None
    solver: Solver = None
    time_limit: TimeLimit = None
    objective: Objective = None
    samples: Samples = None
    policy: ReplayPolicy = None

    def check(self, lengths: str | None, split: bool) -> None:
        """Refuse options that say nothing together; `split` is whether replicas are planned.

        Raises
        ------
        InputError
            There are some.
        """
        if self.time_limit is not None and not 0 < self.time_limit < float("inf"):
            raise InputError(f"--time-limit: expected seconds > 0, got {self.time_limit}")
        if self.speeds is not None and self.replicas is None:
            raise InputError("--speeds: expected together with --replicas N")
        one_of("--objective", self.objective or "makespan", ("makespan", "expected"))
        noisy = (lengths or "").startswith("noisy:")
        if self.objective == "expected" and (split or not noisy):
            raise InputError("--objective: 'expected' needs --lengths noisy:CV, and no --replicas")
        if split:
            where = "only in a plan for the slots of one engine, not for replicas"
            self.refuse(("unit", "solver", "time_limit", "samples"), where)
        else:
            self.refuse(("policy",), "only in a plan for replicas")

    def solve(self, problem: Problem, split: bool) -> Plan:
        """Plan the slots of one engine, or split over replicas where that is asked for."""
        from llmsched.planning.plans import plan_replicas, plan_slots

        with phase("plan") as shown:

            def tell(search: Progress) -> None:
                stands = f"makespan {search.makespan:,}, bound {search.lower_bound:,}"
                shown.tell(f"{stands} ({search.stage})")

            if not split:
                how = given(unit=self.unit, solver=self.solver, time_limit_s=self.time_limit)
                return plan_slots(problem, **how, on_progress=tell)
            count = 1 if self.replicas is None else self.replicas
            return plan_replicas(problem, count, self.policy, _numbers(self.speeds), tell)


@dataclass(frozen=True, kw_only=True)
class BatchFile(options.Group):
    """A file of requests for an offline batch, and where its parts go."""

    input: Input = None
    export: Export = None
    priority: Priority = False
    force: Force = False
    chars_per_token: CharsPerToken = None
    tokenizer: Tokenizer = None
    predict: Predict = None

    def check(self) -> None:
        """Refuse options of a batch file where there is none.

        Raises
        ------
        InputError
            There is one.
        """
        if self.input is None:
            others = ("export", "priority", "force", "chars_per_token", "tokenizer", "predict")
            self.refuse(others, "together with --input FILE")
        if self.export is None:
            self.refuse(("priority",), "together with --export DIR")

    @property
    def lengths(self) -> str:
        """Where output lengths come from."""
        return "max_tokens" if self.predict is None else self.predict

    def claim(self, output: Path | None) -> None:
        """Refuse an export that would replace what is not an earlier one.

        Raises
        ------
        InputError
            It would, or it and `output` are one file.
        """
        from llmsched.files import claim
        from llmsched.planning.export import earlier_export, is_exported

        old = () if self.export is None else earlier_export(self.export, force=self.force)
        claim([("--output", output), *(("--export", path) for path in old)], makes=self.export)
        if output is not None and self.export is not None and is_exported(output, self.export):
            raise InputError(f"--output: expected another file than the export's own, got {output}")

    def read(self) -> Batch | None:
        """Read the batch file, if one was given."""
        from llmsched.documents.batch import UNCOUNTED
        from llmsched.planning import batch
        from llmsched.planning.export import not_run

        if self.input is None:
            return None
        if self.tokenizer is None:
            tokens = batch.count_characters(**given(per_token=self.chars_per_token))
        else:
            tokens = batch.count_with(self.tokenizer)
        with phase("loading"):
            read = batch.read_batch(self.input, tokens, self.lengths)
        if read.skipped_parts:
            note = f"{read.skipped_parts:,} parts that are not text count no tokens"
            say(f"{self.input}: {note}")
        for key, count in read.uncounted.items():
            lines = "1 line" if count == 1 else f"{count:,} lines"
            say(f"{self.input}: {lines} with {key}: {UNCOUNTED[key]}")
        if self.export is not None and (left := not_run(read.urls)):
            instead = "the manifest says what to do instead"
            warn(f"{self.input}: vllm run-batch does not run {left}; {instead}")
        return read


def plan(
    *,
    trace: TraceArgument = None,
    packing: Packing,
    file: BatchFile,
    engine: options.Engine,
    lengths: options.Lengths = None,
    seed: options.Seed = None,
    reading: Reading,
    format: Format = "table",
    output: options.Output = None,
) -> None:
    """Pack requests onto slots or replicas, with a proven bound on the makespan."""
    from llmsched.engine.limits import on_error_of
    from llmsched.files import plain
    from llmsched.hardware.fitted import beyond_fit
    from llmsched.lengths import chosen_mode
    from llmsched.modelname import other_models
    from llmsched.planning.export import export
    from llmsched.planning.problem import Problem
    from llmsched.report.plan import plan_json, plan_table, promised

    one_of("--format", format, ("table", "json"))
    split = packing.replicas is not None or file.input is not None
    packing.check(lengths, split)
    file.check()
    options_of_trace = reading.given.keys() - {"on_error"}
    if file.input is not None and (trace or options_of_trace or lengths is not None):
        raise InputError("--input: expected without a trace, its options, and --lengths")
    file.claim(output)
    batch = file.read()
    machine, config = engine.load(trace if file.input is None else str(file.input))
    requests = reading.load(trace) if batch is None else batch.trace
    warn_each(beyond_fit(machine, config, len(requests)) + other_models(requests, machine))
    if split:  # whose replicas are replayed
        tell_of_engine(len(requests))
    mode = chosen_mode(requests, lengths) if batch is None else plain(file.lengths)
    problem = Problem(
        *(requests, machine, config, mode, seed or 0),
        **given(objective=packing.objective, samples=packing.samples),
        estimated=batch is not None,
        on_error=on_error_of(reading.on_error),
        line_of=None if batch is None else batch.line_of,
    )
    tell_of_served(problem.served, config)
    if problem.trace.timeout is not None:
        say("timeouts are left out: a plan is for requests that are all served")
    made = packing.solve(problem, split)
    if batch is not None and file.export is not None:
        record = {"plan": promised(made)}
        rows = problem.served.rows
        queues = [rows[queue].tolist() for queue in made.queues]
        how = {"priority": file.priority, "force": file.force}
        export(batch, queues, file.export, record, config, **how)
    if trace is not None:
        tell_of_truth(requests, mode, "the plan knows")
    if output is not None:
        emit(plan_json(made), output)
    json = format == "json"
    emit(plan_json(made) if json else plan_table(made, **terminal()), document=json)
    if made.interrupted:
        raise typer.Exit(130)


def _numbers(text: str | None) -> tuple[float, ...]:
    """Return the numbers of a comma-separated list."""
    try:
        return tuple(float(part) for part in text.split(",")) if text is not None else ()
    except ValueError as error:
        raise InputError(f"--speeds: expected numbers with commas between, got {text!r}") from error
