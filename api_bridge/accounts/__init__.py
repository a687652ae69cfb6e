"""Accounts in other hands: what is read of them, how it is judged, and what can be done.

``look`` reads settings, sign-ins and audits of a client's mailboxes; ``shapes`` holds them in words
of no provider, ``differences`` says what changed, ``judge`` names the signs; ``steps``, ``impact``
and ``respond`` are what a person can have done; ``graph_*`` and ``google_*`` speak to the hosts
(docs/mailbox-layer.md, "Accounts in other hands").
"""
