"""The memory of a process that serves pages."""

from __future__ import annotations

import gc

from django.urls import get_resolver


def settle() -> None:
    """Load what every request needs, and keep the collector from walking it again and again.

    Modules, models and templates stay as long as the process; each full collection went through all
    of them in the middle of some page, which then took 60 to 100 ms longer.
    """
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()
