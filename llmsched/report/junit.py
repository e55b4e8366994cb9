"""Gates as a JUnit report: a test case a gate and row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from llmsched.comparison.document import Document
from llmsched.errors import InputError
from llmsched.report.clean import cleaned
from llmsched.report.gates import absent

_PLURALS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


@dataclass(frozen=True)
class _Case:
    """One test case: `outcome` is an element of JUnit's, or None where it passed."""

    place: str
    name: str
    outcome: str | None = None
    kind: str = ""
    reason: str = ""


def render_junit(document: Document) -> str:
    """Return JUnit XML as Jenkins, GitLab and GitHub's actions read it.

    Beside the gates, a policy that was not compared with the earlier result has a case of its own:
    failed if it is no longer in the run, skipped if an option left it out or if it is new.

    Raises
    ------
    InputError
        The result was not held against any gate, so there is no test case.
    """
    cases = []
    for verdict in document.get("gates", []):
        place = ".".join(filter(None, [document["scenario"], verdict["cell"]]))
        policy = verdict["policy"]
        name = f"{policy}: {verdict['gate'].removeprefix(f'{policy}:')}"
        outcome = None if verdict["passed"] else "failure"
        cases.append(_Case(place, name, outcome, "gate", verdict["reason"]))
    failed = {verdict["policy"] for verdict in document.get("gates", []) if not verdict["passed"]}
    for key, why, policies in absent(document):
        outcome = "failure" if key == "gone" else "skipped"
        for policy in policies:
            if key == "gone" and policy in failed:
                continue  # a gate on it says so
            name = f"{policy}: against {document['against']['file']}"
            cases.append(_Case(document["scenario"], name, outcome, "policy", why))
    if not document.get("gates") and "failure" not in {case.outcome for case in cases}:
        raise InputError("junit: expected a result with gates (--fail-on), got one without")
    return _render(document["scenario"], cases)


def render_refusal(name: str, reason: str) -> str:
    """Return a report of one case: the comparison `name` could not be made."""
    name, reason = cleaned([name, reason], printable=True)
    return _render(name, [_Case(name, "comparable", "error", "not comparable", reason)])


def _render(suite: str, cases: Sequence[_Case]) -> str:
    found = Counter(case.outcome for case in cases)
    counts = {plural: str(found[outcome]) for outcome, plural in _PLURALS.items()}
    counts = {"tests": str(len(cases)), **counts}
    total = {name: count for name, count in counts.items() if name != "skipped"}
    root = ElementTree.Element("testsuites", {"name": "llmsched", **total})
    inner = ElementTree.SubElement(root, "testsuite", {"name": suite, **counts})
    for case in cases:
        attributes = {"classname": case.place, "name": case.name}
        element = ElementTree.SubElement(inner, "testcase", attributes)
        if case.outcome == "skipped":
            ElementTree.SubElement(element, "skipped", {"message": case.reason})
        elif case.outcome:
            attributes = {"message": case.reason, "type": case.kind}
            ElementTree.SubElement(element, case.outcome, attributes).text = case.reason
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
