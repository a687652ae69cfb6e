"""The sandbox: a local cloud that behaves like Microsoft 365, for the demo and the tests.

SMTP in, DNS for its senders, a token endpoint and Graph v1.0 over TLS with a CA of its own, all
over one SQLite file.  It speaks only what Microsoft documents and is proven by Microsoft's own
metadata and SDK, never by Bailey's connector, so that it cannot drift towards our code.
No Django here.  Start: ``python -m api_bridge.sandbox`` (settings.py lists the environment).
"""
