from tests.api_bridge.sync.conftest import client_, cloud, connect, outgoing

__all__ = ["client_", "cloud", "connect", "outgoing"]
