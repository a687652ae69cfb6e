"""Reports of an incident: one JSON document, rendered to PDF and CSV.

``ask_report`` leaves the work; ``serve_reports`` makes the files.  See docs/reports.md.
"""

from incidents.reports.services import ask_report, serve_reports

__all__ = ["ask_report", "serve_reports"]
