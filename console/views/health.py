"""Is this process up?  Says nothing about any client."""

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from tenants.middleware import without_scope


@without_scope
def healthz(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"ok": True})
