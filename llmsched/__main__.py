"""``python -m llmsched``, and the command itself."""

import signal
import sys


def run() -> int:
    """Run the command line; Ctrl-C while it is still being imported ends it without a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # a shell may have started it to ignore Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from llmsched.cli import main

    signal.signal(signal.SIGINT, handler)
    return main()


if __name__ == "__main__":
    sys.exit(run())
