"""A study's result for people: tables and words in the terminal, and one self-contained HTML page.

Every number and every verdict comes from `scalesearch.analysis`; nothing is claimed here.
"""

from __future__ import annotations

from scalesearch.report.page import html_report, write_report
from scalesearch.report.tables import StudyRow, count_table, result_table, studies_table
from scalesearch.report.terminal import render_result

__all__ = [
    "StudyRow",
    "count_table",
    "html_report",
    "render_result",
    "result_table",
    "studies_table",
    "write_report",
]
