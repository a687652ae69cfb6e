"""Agreed times: when a clock runs, what is due when, what was kept.  See docs/sla.md.

``clock`` is pure arithmetic, ``plan`` reads what was agreed, ``reckoning`` keeps an incident's
times, ``attest`` adds up what was kept and says what will be missed.
"""
