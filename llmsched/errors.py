"""Errors a user can cause, and the exit code each one ends the command line with."""

from __future__ import annotations


class LlmschedError(Exception):
    """Base of every error that is reported as one line on stderr."""

    exit_code = 2


class InputError(LlmschedError):
    """Input or usage that cannot be accepted; the message names file, line, field and value."""


class PolicyError(LlmschedError):
    """A policy proposed a step that the engine cannot execute."""


class NotComparableError(LlmschedError):
    """Two results differ in something that makes their numbers incomparable."""

    exit_code = 3
