"""Reports of an incident, and of a client's agreed times: one JSON document, as PDF and CSV.

``ask_report`` and ``ask_statement`` leave the work; ``serve_reports`` makes the files.  See
docs/reports.md.
"""

from incidents.reports.services import ask_report, ask_statement, serve_reports

__all__ = ["ask_report", "ask_statement", "serve_reports"]
