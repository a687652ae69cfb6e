"""Looking back: mail from before a client was connected, judged from the newest to the oldest.

``services``: what people ask for.  ``work``: the worker's side.  ``reading``: one page of one
mailbox.  ``limits``: behind the live sync.  ``pulling``: one act over all that was found.
"""
