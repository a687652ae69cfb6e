"""The gate: Bailey's SMTP data path, needing neither Django nor the database to run.

``python -m seg_bridge.gate`` receives, asks the engines, decides by the last policy snapshot,
makes the decision durable and answers; ``python -m seg_bridge.gate.ship`` carries the journal to
``ingest``.
"""
