"""Access to a client's mail host: what was granted, by whom, and whether it still stands.

``models``         registrations, consents, links for a client's own admin, grants
``permissions``    what each registration needs, and what is off without it
``clouds``         Microsoft's clouds, and the operator's own
``registrations``  the provider's app registrations
``consent``        asking for consent, and what comes back with the browser
``links``          a link for a client's admin who has no login here
``proof``          a worker proves what came back, and connects the client
``watching``       hourly: does everything still stand?  What does not opens a health incident
"""
