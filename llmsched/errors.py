"""Errors a user can cause, and the exit code each one ends the command line with."""

from __future__ import annotations


class LlmschedError(Exception):
    """Base of every error that is reported as one line on stderr."""

    exit_code = 2


class InputError(LlmschedError, ValueError):
    """Input or usage that cannot be accepted; the message names file, line, field and value.

    It is a ValueError, so that a document's type may refuse a value itself: the schema library
    adds the place.
    """


class PolicyError(LlmschedError):
    """A policy broke its contract, or raised an error of its own; the message names it."""


class LivelockError(PolicyError):
    """Under this policy, on this engine, requests are preempted for ever and none gets a token."""


class Defect(LlmschedError):
    """A result that contradicts a law: a defect of this package, which never becomes a number."""

    exit_code = 70

    def __str__(self) -> str:
        return f"defect in llmsched, please report it: {super().__str__()}"


class NotComparableError(LlmschedError):
    """Two results differ in something that makes their numbers incomparable."""

    exit_code = 3
