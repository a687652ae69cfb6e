"""Putting a client behind the gateway, step by step; each step is saved by itself.

``services``  what a lead does
``look``      what DNS says: is the domain theirs, do its MX records name our gates
``probe``     a test mail, sent as a stranger would
``work``      the worker's share: looking and sending happen outside any scope
"""
