"""Mail that waits at the gates for its next hop, over all clients, and what people do about it.

``records``  one row a waiting copy, replaced with each telling of a gate
``intake``   ``POST /gate/queue``: what a gate tells
``reasons``  why it waits, in a word that can be counted
``orders``   retry, hold, let go on, take out, return: commands to the gate, each answered once
``together`` the same for all mails of a list, counted before, with progress and stop
"""
