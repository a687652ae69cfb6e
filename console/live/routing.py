"""WebSocket routes."""

from channels.routing import URLRouter

websockets = URLRouter([])
