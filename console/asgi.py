"""Pages through WSGI (a third of the CPU a page), WebSockets through ASGI, in one process."""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from a2wsgi import WSGIMiddleware
from channels.routing import ProtocolTypeRouter
from django.core.wsgi import get_wsgi_application

_pages: Any = get_wsgi_application()

from console.live.routing import websockets  # noqa: E402 - needs Django to be ready

application = ProtocolTypeRouter(
    {"http": WSGIMiddleware(_pages, workers=16), "websocket": websockets}
)
