"""Where the layers or the mail host disturb each other, found in what both layers have on record.

``pairs.py`` what the layers have on record of one copy; ``checks.py`` what is wrong with it;
``hourly.py`` the worker's look at a client, and what it stores; ``fixes.py`` sentences, and what to
do about it.
"""

from incidents.interference.checks import Finding, Result, examine
from incidents.interference.fixes import Fix, fixes_of, harm_of, what_is_wrong
from incidents.interference.pairs import Pair

__all__ = [
    "Finding",
    "Fix",
    "Pair",
    "Result",
    "examine",
    "fixes_of",
    "harm_of",
    "what_is_wrong",
]
