"""Gates as a JUnit report: a test case a gate and row."""

from __future__ import annotations

from xml.etree import ElementTree

from llmsched.compare.document import Document
from llmsched.errors import InputError


def render_junit(document: Document) -> str:
    """Return JUnit XML as Jenkins, GitLab and GitHub's actions read it.

    Raises
    ------
    InputError
        The result was not held against any gate, so there is no test case.
    """
    verdicts = document.get("gates")
    if not verdicts:
        raise InputError("junit: expected a result with gates (--fail-on), got one without")
    counts = {
        "tests": str(len(verdicts)),
        "failures": str(sum(not verdict["passed"] for verdict in verdicts)),
        "errors": "0",
    }
    root = ElementTree.Element("testsuites", {"name": "llmsched", **counts})
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": document["scenario"], **counts, "skipped": "0"}
    )
    for verdict in verdicts:
        place = ".".join(filter(None, [document["scenario"], verdict["cell"]]))
        name = f"{verdict['policy']}: {verdict['gate']}"
        case = ElementTree.SubElement(suite, "testcase", {"classname": place, "name": name})
        if not verdict["passed"]:
            attributes = {"message": verdict["reason"], "type": "gate"}
            ElementTree.SubElement(case, "failure", attributes).text = verdict["reason"]
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'
