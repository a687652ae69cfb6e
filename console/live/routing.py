"""WebSocket routes: one, for whoever is signed in on this surface."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from console.live.consumer import LiveConsumer

urlpatterns = [path("live", LiveConsumer.as_asgi(), name="live")]
websockets = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(urlpatterns)))
