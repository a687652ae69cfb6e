"""Pages through WSGI (a third of the CPU a page), WebSockets through ASGI, in one process.

Where a gate waits for news it waits in ASGI too: in WSGI it would hold one of the threads.
"""

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

from a2wsgi import WSGIMiddleware
from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

_wsgi: Any = get_wsgi_application()
_pages: Any = WSGIMiddleware(_wsgi, workers=16)
_waiting: Any = get_asgi_application()
_WAITING_PATHS = frozenset({"/gate/commands"} if settings.SURFACE == "ingest" else ())

from console.lib.memory import settle  # noqa: E402 - needs Django to be ready
from console.live.routing import websockets  # noqa: E402 - as above


async def _http(scope: Any, receive: Any, send: Any) -> None:
    serve = _waiting if scope["path"] in _WAITING_PATHS else _pages
    await serve(scope, receive, send)


application = ProtocolTypeRouter({"http": _http, "websocket": websockets})
settle()
