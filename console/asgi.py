"""Pages through WSGI (a third of the CPU a page), WebSockets through ASGI, in one process."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from a2wsgi import WSGIMiddleware
from channels.routing import ProtocolTypeRouter
from django.core.wsgi import get_wsgi_application

_pages = get_wsgi_application()

from console.live.routing import websockets

application = ProtocolTypeRouter(
    {"http": WSGIMiddleware(_pages, workers=16), "websocket": websockets}
)
