"""Google Workspace mailboxes by Gmail."""

from api_bridge.connectors.google.connector import GoogleConnector

__all__ = ["GoogleConnector"]
