"""The sandbox's own levers, for the demo and the tests: on the plain listener, loopback only."""

import base64
import binascii
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from api_bridge.sandbox import directory, ids, mailboxes, people
from api_bridge.sandbox.clock import as_graph_time, read_graph_time
from api_bridge.sandbox.cloud import Cloud
from api_bridge.sandbox.directory import BadDirectory
from api_bridge.sandbox.faults import BadFault
from api_bridge.sandbox.filters import put_rules
from api_bridge.sandbox.google import accounts as google_accounts
from api_bridge.sandbox.google import pubsub
from api_bridge.sandbox.google import settings as google_settings
from api_bridge.sandbox.google.authority import put_google
from api_bridge.sandbox.google.directory import put_alert
from api_bridge.sandbox.graph import accounts, alerts
from api_bridge.sandbox.groups import put_groups
from api_bridge.sandbox.traces import put_trace
from api_bridge.sandbox.web import Request, Response, is_loopback, json_response
from api_bridge.sandbox.zone import BadRecord, Zone

_Handler = Callable[..., Awaitable[Response]]


class AdminRefused(ValueError):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Admin:
    def __init__(self, cloud: Cloud, zone: Zone) -> None:
        self._cloud, self._zone = cloud, zone

    async def serve(self, request: Request) -> Response | None:
        """None: the address is none of the admin's."""
        segments = request.segments
        if segments[:1] != ["_sandbox"]:
            return None
        try:
            _check_loopback(request)
            return await self._find(request.method, segments[1:])(request, *segments[2:3])
        except AdminRefused as error:
            return json_response({"error": str(error)}, error.status)
        except (BadDirectory, BadFault, BadRecord) as error:
            return json_response({"error": str(error)}, 400)

    def _find(self, method: str, segments: list[str]) -> _Handler:
        for find in (self._of_tenants, self._of_mailboxes, self._of_all):
            if (handler := find(method, segments)) is not None:
                return handler
        raise AdminRefused(404, "no such admin address")

    def _of_tenants(self, method: str, segments: list[str]) -> _Handler | None:
        match method, segments:
            case "PUT", ["tenants", _]:
                return self._put_tenant
            case "DELETE", ["tenants", _]:
                return self._delete_tenant
            case "PUT", ["google", _]:
                return self._put_google
            case "POST", ["google", _, "alerts"]:
                return self._add_alert
            case "DELETE", ["tenants", _, "apps", _]:
                return self._withdraw
            case "PUT", ["tenants", _, "groups"]:
                return self._put_groups
            case "POST", ["tenants", _, "alerts"]:
                return self._add_defender_alert
            case "PUT", ["tenants", _, "relationships"]:
                return self._put_relationships
            case "POST", ["tenants", _, "traces"]:
                return self._add_trace
        return None

    def _of_mailboxes(self, method: str, segments: list[str]) -> _Handler | None:
        match method, segments:
            case "PUT", ["mailboxes", _, "settings"]:
                return self._put_settings
            case "GET", ["mailboxes", _]:
                return self._show_mailbox
            case "POST", ["mailboxes", _, "read"]:
                return self._mark_read
            case "POST", ["mailboxes", _, "import"]:
                return self._import
            case "POST", ["mailboxes", _, "answer"]:
                return self._answer
            case "POST", ["mailboxes", _, "report"]:
                return self._report
            case "PUT", ["mailboxes", _, "rules"]:
                return self._put_rules
            case "PUT", ["mailboxes", _, "account"]:
                return self._put_account
            case "GET", ["mailboxes", _, "account"]:
                return self._show_account
            case "PUT", ["mailboxes", _, "workspace"]:
                return self._put_workspace_account
            case "GET", ["mailboxes", _, "workspace"]:
                return self._show_workspace_account
        return None

    def _of_all(self, method: str, segments: list[str]) -> _Handler | None:
        """What belongs to no tenant."""
        match method, segments:
            case "PUT", ["pubsub"]:
                return self._put_pubsub
            case "PUT", ["applications", _]:
                return self._put_application
            case "PUT", ["filter"]:
                return self._put_filter
            case "PUT", ["dns"]:
                return self._put_dns
            case "DELETE", ["dns"]:
                return self._clear_dns
            case "POST", ["send"]:
                return self._send
            case "GET", ["faults"]:
                return self._list_faults
            case "POST", ["faults"]:
                return self._add_fault
            case "DELETE", ["faults"]:
                return self._clear_faults
            case "POST", ["lifecycle"]:
                return self._send_lifecycle
        return None

    async def _put_tenant(self, request: Request, tenant_id: str) -> Response:
        directory.put_tenant(self._cloud.store, tenant_id, _object(request))
        return json_response({"id": tenant_id.lower()})

    async def _delete_tenant(self, _request: Request, tenant_id: str) -> Response:
        if not directory.delete_tenant(self._cloud.store, tenant_id):
            raise AdminRefused(404, "no such tenant")
        return Response(204)

    async def _put_google(self, request: Request, tenant_id: str) -> Response:
        put_google(self._cloud.store, tenant_id, _object(request))
        return json_response({"id": tenant_id.lower()})

    async def _add_alert(self, request: Request, tenant_id: str) -> Response:
        alert_id = put_alert(self._cloud.store, tenant_id.lower(), _object(request))
        return json_response({"alertId": alert_id}, 201)

    async def _put_pubsub(self, request: Request) -> Response:
        pubsub.put_subscription(self._cloud.store, _object(request))
        self._cloud.notifier.wake()
        return json_response({})

    async def _put_settings(self, request: Request, address: str) -> Response:
        number = self._mailbox(address)["number"]
        google_settings.put_by_a_person(self._cloud.store, number, _object(request))
        return json_response({})

    async def _put_application(self, request: Request, client_id: str) -> Response:
        directory.put_application(self._cloud.store, client_id, _object(request))
        return json_response({"id": client_id.lower()})

    async def _withdraw(self, request: Request, tenant_id: str) -> Response:
        """An admin of the tenant removes an application from it."""
        if not directory.withdraw(self._cloud.store, tenant_id.lower(), request.segments[4]):
            raise AdminRefused(404, "this tenant has no such application")
        return Response(204)

    async def _put_relationships(self, request: Request, tenant_id: str) -> Response:
        wanted = _object(request).get("relationships")
        directory.put_relationships(self._cloud.store, tenant_id, wanted)
        return json_response({"id": tenant_id.lower()})

    async def _add_trace(self, request: Request, tenant_id: str) -> Response:
        """What Exchange has on record of a mail that never lay in a mailbox."""
        return json_response({"id": put_trace(self._cloud.store, tenant_id, _object(request))}, 201)

    async def _put_groups(self, request: Request, tenant_id: str) -> Response:
        """All groups of the directory, in place of those it had."""
        put_groups(self._cloud.store, tenant_id.lower(), _object(request).get("groups"))
        return json_response({"id": tenant_id.lower()})

    async def _add_defender_alert(self, request: Request, tenant_id: str) -> Response:
        alert_id = alerts.put_alert(self._cloud.store, tenant_id.lower(), _object(request))
        return json_response({"id": alert_id}, 201)

    async def _put_filter(self, request: Request) -> Response:
        """What the filter says of whose mail, in place of what it said before."""
        put_rules(self._cloud.store, _object(request).get("rules"))
        return json_response({})

    async def _put_dns(self, request: Request) -> Response:
        records = _object(request).get("records")
        if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
            raise AdminRefused(400, "'records' must be a list of objects")
        self._zone.put(records)
        return json_response({"records": len(records)})

    async def _clear_dns(self, _request: Request) -> Response:
        self._zone.clear()
        return Response(204)

    async def _send(self, request: Request) -> Response:
        """A person of a tenant writes: internal delivery, and a copy in Sent Items."""
        wanted = _object(request)
        sender = self._mailbox(str(wanted.get("from", "")))
        recipients = wanted.get("to")
        if not isinstance(recipients, list) or not recipients:
            raise AdminRefused(400, "'to' must be a list of addresses")
        found = [self._mailbox(str(address)) for address in recipients]
        targets = {each["number"]: each for each in found}
        try:
            content = base64.b64decode(str(wanted.get("raw_base64", "")), validate=True)
        except binascii.Error as error:
            raise AdminRefused(400, "'raw_base64' is no base64") from error
        people.send(self._cloud.store, sender, list(targets.values()), content)
        self._cloud.notifier.wake()
        return json_response({"delivered": len(targets)}, 201)

    async def _answer(self, request: Request, address: str) -> Response:
        """A person answers a mail of hers, or passes it on to ``forward_to``."""
        mailbox, wanted = self._mailbox(address), _object(request)
        message = self._message(mailbox, wanted)
        forward_to = wanted.get("forward_to", [])
        if not isinstance(forward_to, list):
            raise AdminRefused(400, "'forward_to' must be a list of addresses")
        message_id = people.answer(
            self._cloud.store, mailbox, message,
            text=str(wanted.get("text", "")), forward_to=[str(each) for each in forward_to],
        )  # fmt: skip
        self._cloud.notifier.wake()
        return json_response({"internet_message_id": message_id}, 201)

    async def _report(self, request: Request, address: str) -> Response:
        """A person reports a mail of hers ``to`` the report mailbox: ``said`` by which button."""
        mailbox, wanted = self._mailbox(address), _object(request)
        message, to = self._message(mailbox, wanted), self._mailbox(str(wanted.get("to", "")))
        said = people.BUTTONS.get(str(wanted.get("said", "")))
        if said is None:
            raise AdminRefused(400, f"'said' must be one of {', '.join(people.BUTTONS)}")
        text = str(wanted.get("text", ""))
        message_id = people.report(self._cloud.store, mailbox, message, to=to, said=said, text=text)
        self._cloud.notifier.wake()
        return json_response({"internet_message_id": message_id}, 201)

    async def _list_faults(self, _request: Request) -> Response:
        return json_response({"faults": self._cloud.faults.as_json()})

    async def _add_fault(self, request: Request) -> Response:
        return json_response(self._cloud.faults.add(_object(request)).as_json(), 201)

    async def _clear_faults(self, _request: Request) -> Response:
        self._cloud.faults.clear()
        return Response(204)

    async def _show_mailbox(self, _request: Request, address: str) -> Response:
        mailbox = self._mailbox(address)
        store = self._cloud.store
        folders = []
        for folder in store.rows(
            "SELECT * FROM folder WHERE mailbox = ? AND well_known IS NOT 'msgfolderroot' "
            "ORDER BY display_name",
            mailbox["number"],
        ):
            rows = store.rows(
                "SELECT * FROM message WHERE folder = ? ORDER BY received_at, number",
                folder["number"],
            )
            folders.append({
                "id": ids.folder_id(mailbox["number"], folder["number"]),
                "name": folder["display_name"],
                "well_known": folder["well_known"],
                "hidden": bool(folder["is_hidden"]),
                "messages": [_message_json(row, folder["display_name"]) for row in rows],
            })  # fmt: skip
        return json_response({"address": mailbox["mail"], "folders": folders})

    async def _mark_read(self, request: Request, address: str) -> Response:
        mailbox = self._mailbox(address)
        wanted = _object(request).get("internet_message_id")
        rows = self._cloud.store.rows(
            "SELECT number FROM message WHERE mailbox = ? AND internet_message_id = ?",
            mailbox["number"], wanted,
        )  # fmt: skip
        if not rows:
            raise AdminRefused(404, "no such message in this mailbox")
        for row in rows:
            mailboxes.update_message(self._cloud.store, row["number"], {"is_read": True})
        self._cloud.notifier.wake()
        return json_response({"read": len(rows)})

    async def _import(self, request: Request, address: str) -> Response:
        """Somebody puts a mail there that came at another time: a migration, a restored backup.

        ``received_at`` as Graph writes times; ``folder`` is a well-known name or an id ("inbox").
        """
        mailbox, wanted = self._mailbox(address), _object(request)
        folder = str(wanted.get("folder", "inbox"))
        try:
            received_at = int(read_graph_time(str(wanted.get("received_at", ""))))
            people.bring_in(
                self._cloud.store, mailbox["number"], folder, received_at,
                base64.b64decode(str(wanted.get("raw_base64", "")), validate=True),
            )  # fmt: skip
        except (binascii.Error, ValueError) as error:
            raise AdminRefused(400, f"this cannot be put there: {error}") from error
        self._cloud.notifier.wake()
        return Response(204)

    async def _put_rules(self, request: Request, address: str) -> Response:
        """The inbox rules of a mailbox, in Graph's own shape (messageRule)."""
        mailbox = self._mailbox(address)
        rules = _object(request).get("rules")
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise AdminRefused(400, "'rules' must be a list of objects")
        store = self._cloud.store
        with store.transaction():
            store.execute("DELETE FROM rule WHERE mailbox = ?", mailbox["number"])
            for number, rule in enumerate(rules, 1):
                content = {"id": f"AQAAAJ5d{number:04d}=", "sequence": number, "isEnabled": True,
                           "hasError": False, "isReadOnly": False, **rule}  # fmt: skip
                store.execute("INSERT INTO rule (mailbox, content) VALUES (?, ?)",
                              mailbox["number"], json.dumps(content))  # fmt: skip
        return json_response({"rules": len(rules)})

    async def _put_account(self, request: Request, address: str) -> Response:
        """What happened to an account, in Graph's own shapes: lists of ``grants``, ``methods``,
        ``sign_ins``, ``audits``, ``risk``; names of ``applications`` by their principal's id.
        """
        accounts.put_account(self._cloud.store, self._mailbox(address), _object(request))
        return json_response({})

    async def _show_account(self, _request: Request, address: str) -> Response:
        return json_response(accounts.show_account(self._cloud.store, self._mailbox(address)))

    async def _put_workspace_account(self, request: Request, address: str) -> Response:
        """What happened to an account, in Google's own shapes: lists of ``activities`` and
        ``tokens``; ``state``: fields of the directory's user.
        """
        google_accounts.put_account(self._cloud.store, self._mailbox(address), _object(request))
        return json_response({})

    async def _show_workspace_account(self, _request: Request, address: str) -> Response:
        account = google_accounts.show_account(self._cloud.store, self._mailbox(address))
        return json_response(account)

    async def _send_lifecycle(self, request: Request) -> Response:
        wanted = _object(request)
        is_taken = await self._cloud.notifier.send_lifecycle(
            str(wanted.get("event", "")), str(wanted.get("subscription_id", ""))
        )
        return json_response({"taken": is_taken}, 200 if is_taken else 409)

    def _mailbox(self, address: str) -> Any:
        mailbox = directory.mailbox_of(self._cloud.store, address)
        if mailbox is None:
            raise AdminRefused(404, f"no mailbox has the address {address!r}")
        return mailbox

    def _message(self, mailbox: Any, wanted: dict[str, Any]) -> Any:
        """The one in her mailbox that ``internet_message_id`` names."""
        message = self._cloud.store.row(
            "SELECT * FROM message WHERE mailbox = ? AND internet_message_id = ?",
            mailbox["number"], str(wanted.get("internet_message_id", "")),
        )  # fmt: skip
        if message is None:
            raise AdminRefused(404, "no such message in this mailbox")
        return message


def _message_json(row: Any, folder: str) -> dict[str, Any]:
    return {
        "id": ids.immutable_id(row["mailbox"], row["number"]),
        "internet_message_id": row["internet_message_id"],
        "subject": row["subject"],
        "from": row["from_address"],
        "is_read": bool(row["is_read"]),
        "received_at": as_graph_time(row["received_at"]),
        "folder": folder,
    }


def _object(request: Request) -> dict[str, Any]:
    try:
        content = request.json()
    except ValueError as error:
        raise AdminRefused(400, "the body is no JSON") from error
    if not isinstance(content, dict):
        raise AdminRefused(400, "the body must be a JSON object")
    return content


def _check_loopback(request: Request) -> None:
    """Only programs on this machine: neither another host nor a page in a browser here."""
    host = urlsplit(request.base_url).hostname or ""
    if not is_loopback(request.client_host) or not is_loopback(host):
        raise AdminRefused(403, "the admin addresses answer on this machine only")
    if "origin" in request.headers:
        raise AdminRefused(403, "the admin addresses do not answer to web pages")
