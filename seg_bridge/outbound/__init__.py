"""Outbound mail as the console knows it: each client's terms, logins, signing keys, stops.

``services``   what people do
``compiling``  what the gates are told
``stopping``   what gates tell of senders that they stopped, and the incident that this opens
``checking``   is a signing key's record in the DNS?
``serving``    the queue of both
"""
