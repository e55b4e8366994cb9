"""The comparison: the same requests under every policy, and what the difference is worth.

Data flows `study` (scenario to cells, cases, tasks) -> `measure` (one task to one row), anywhere
(`executors`, to whose processes it is `shared`) and resumable (`checkpoint`), gathered by `run` ->
`document` (the one result that all reports show), with `paired` differences over cases -> `gates`
and `against` (verdicts).
"""
