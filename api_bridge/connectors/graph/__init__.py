"""Microsoft 365 mailboxes by Graph."""

from api_bridge.connectors.graph.connector import GraphConnector

__all__ = ["GraphConnector"]
