"""The layer ledger: which layer caught what, who was first, and what both missed.

``note_messages`` keeps it, ``figures_of`` and ``list_of`` read it.  Definitions: docs/ledger.md.
"""

from incidents.ledger.figures import FALSE, FIGURES, Figure
from incidents.ledger.reading import Lag, Period, figures_of, lags_of, list_of
from incidents.ledger.upkeep import (
    note_incident,
    note_mails,
    note_messages,
    note_touched,
    recompute,
)

__all__ = [
    "FALSE",
    "FIGURES",
    "Figure",
    "Lag",
    "Period",
    "figures_of",
    "lags_of",
    "list_of",
    "note_incident",
    "note_mails",
    "note_messages",
    "note_touched",
    "recompute",
]
