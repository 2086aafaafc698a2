"""The slowest tests of a run with what they spend their time on, so that a slow one has a reason.

A plugin of pytest. A test says why it must be slow by `@pytest.mark.slow("why")`; what it waits for
other than this process (a browser, a server's thread, a command of its own) is measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

MOST, LEAST = 20, 1.0
"""How many are listed, of those that take so many seconds."""
SPENT = "processor_seconds"
WHY = "why"


def processor_seconds() -> float:
    """Of this process and of the commands that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    report = yield
    now = processor_seconds()
    report.user_properties = [(WHY, reason(item)), (SPENT, now - getattr(item, SPENT, now))]
    setattr(item, SPENT, now)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    setattr(item, SPENT, processor_seconds())


def reason(item: pytest.Item) -> str:
    """Why a test may be slow, as it says itself."""
    if marker := item.get_closest_marker("slow"):
        return marker.args[0]
    return "drives a browser" if item.get_closest_marker("browser") else "says no reason"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [
        report
        for found in terminalreporter.stats.values()
        for report in found
        if isinstance(report, pytest.TestReport) and report.duration >= LEAST
    ]
    reports.sort(key=lambda report: -report.duration)
    if not reports:
        return
    terminalreporter.section(
        f"slowest {min(MOST, len(reports))} of {len(reports)} over {LEAST:g} s"
    )
    for report in reports[:MOST]:
        terminalreporter.write_line(line(report))


def line(report: pytest.TestReport) -> str:
    """One test: its seconds, how many of them it waited, and why."""
    known = dict(report.user_properties)
    waited = max(report.duration - known.get(SPENT, 0.0), 0.0)
    return (
        f"{report.duration:6.2f} s ({waited:5.2f} waiting) {report.when:<8} {report.nodeid}: "
        f"{known.get(WHY, '')}"
    )
