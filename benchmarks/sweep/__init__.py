"""Replay drawn cases without end, and hold each replay against everything that is known of it.

    python -m benchmarks.sweep --minutes 10 --seed 0 --jobs 2     or  make sweep MINUTES=10 SEED=0
    python -m benchmarks.sweep --case 0:123 --write FOLDER

A case is a trace, a profile, the engine's knobs, a policy and what it knows of the lengths. Case i
of a seed is drawn from the two numbers alone, so that a failure can be replayed by itself.

    traces, profiles, policies, adversary    what there is to draw from
    draw        a case, and the `llmsched simulate` that replays it
    oracle      when each token came out, told by a second engine or by the step table alone
    checks      the laws
    run         many cases on many processes until the time is up, and what came of them
"""
