"""The admin consent page: an admin of a tenant grants an application what it asks for, or refuses.

``GET /{tenant}/v2.0/adminconsent`` (and the form before v2.0) shows the question, its POST answers
it and leads back.  Whoever stands at this page is an admin of every tenant: it is a sandbox.
Source: learn.microsoft.com/entra/identity-platform/v2-admin-consent, read 2026-11.
"""

import json
import sqlite3
from html import escape
from urllib.parse import parse_qs, urlencode, urlsplit

from api_bridge.sandbox import directory
from api_bridge.sandbox.store import Store
from api_bridge.sandbox.web import Request, Response, text_response

_ANY = ("organizations", "common")


class _Refused(Exception):
    """An error page of the identity platform: nothing leads back."""


class ConsentPage:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def serve(self, request: Request) -> Response | None:
        """None: the address is none of the page's."""
        segments = [segment.lower() for segment in request.segments]
        match segments:
            case [tenant, "v2.0", "adminconsent"] | [tenant, "adminconsent"]:
                pass
            case _:
                return None
        try:
            if request.method == "POST":
                response = self._answer(request, tenant)
            else:
                response = self._question(request, tenant)
        except _Refused as refusal:
            response = _page("Sorry", f'<p class="empty">{escape(str(refusal))}</p>', 400)
        response.headers |= {"cache-control": "no-store", "referrer-policy": "no-referrer"}
        return response

    def _question(self, request: Request, tenant: str) -> Response:
        application = self._application(request)
        roles = "".join(f"<li>{escape(role)}</li>" for role in json.loads(application["roles"]))
        choices = "".join(
            f'<option value="{escape(row["id"])}">{escape(row["display_name"])} '
            f"({escape(row['domain'])})</option>"
            for row in self._tenants(tenant)
        )
        here = escape(f"{request.path}?{urlencode(request.query)}")
        body = (
            f"<h1>Permissions requested</h1><p><b>{escape(application['display_name'])}</b> asks "
            "for these permissions in the whole organisation:</p>"
            f'<ul class="asked">{roles}</ul>'
            f'<form method="post" action="{here}">'
            f'<p><label>You are an admin of <select name="tenant">{choices}</select></label></p>'
            '<p><button name="answer" value="yes">Accept</button> '
            '<button name="answer" value="no">Cancel</button></p></form>'
        )
        return _page("Permissions requested", body)

    def _answer(self, request: Request, tenant: str) -> Response:
        application = self._application(request)
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        chosen = form.get("tenant", "")
        if chosen not in {row["id"] for row in self._tenants(tenant)}:
            raise _Refused("AADSTS50020: This account is not in the tenant that was asked for.")
        state = request.first("state") or ""
        if form.get("answer") != "yes":
            return self._back(request, {
                "error": "access_denied",
                "error_description": "AADSTS65004: User declined to consent to access the app.",
                "state": state,
            })  # fmt: skip
        directory.consent(self._store, chosen, application)
        scope = request.first("scope") or ""
        answer = {"admin_consent": "True", "tenant": chosen, "state": state, "scope": scope}
        return self._back(request, answer)

    def _application(self, request: Request) -> sqlite3.Row:
        """Raises _Refused where the application or the address to lead back to is not known."""
        client_id = request.first("client_id") or ""
        application = directory.application_of(self._store, client_id)
        if application is None:
            raise _Refused(
                f"AADSTS700016: Application with identifier '{client_id}' was not found."
            )
        address = request.first("redirect_uri") or ""
        if address not in json.loads(application["redirect_uris"]):
            raise _Refused(
                f"AADSTS50011: The redirect URI '{address}' does not match the redirect URIs "
                f"configured for the application '{client_id}'."
            )
        return application

    def _tenants(self, name: str) -> list[sqlite3.Row]:
        if name in _ANY:
            return self._store.rows("SELECT * FROM tenant ORDER BY display_name")
        row = directory.tenant_for(self._store, name)
        if row is None:
            raise _Refused(f"AADSTS90002: Tenant '{name}' not found.")
        return [row]

    def _back(self, request: Request, answer: dict[str, str]) -> Response:
        address = request.first("redirect_uri") or ""
        mark = "&" if urlsplit(address).query else "?"
        return Response(302, b"", {"location": f"{address}{mark}{urlencode(answer)}"})


def _page(title: str, body: str, status: int = 200) -> Response:
    return text_response(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · Sandbox cloud</title><link rel="stylesheet" href="/style.css">'
        f'</head><body><header><a href="/">Sandbox cloud</a></header><main class="overview">{body}'
        "</main></body></html>",
        status,
        "text/html",
    )
