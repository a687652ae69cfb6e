"""What a client's mail is treated by, and where each value comes from.  docs/gateway.md.

``keys``       every value that a policy has: its choices, its default
``effective``  inheritance as pure functions; no Django here, nor in ``keys``
``layers``     what the levels state, from the database
``leads``      what a lead alone may change
``models``     the rows
``services``   asking for a change, making it, templates
``push``       one change for many clients
"""
