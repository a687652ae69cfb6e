"""A Google Workspace customer in a sandbox cloud, with a service account that may act for it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from typing_extensions import override

from tests.api_bridge.sandbox.running import Company

HEAD = "https://www.googleapis.com/auth/"
GRANTED = tuple(
    f"{HEAD}{name}"
    for name in (
        "gmail.modify", "gmail.readonly", "gmail.settings.basic", "gmail.settings.sharing",
        "admin.directory.group.readonly", "admin.directory.user.readonly",
        "admin.directory.user", "admin.directory.user.security",
        "admin.reports.audit.readonly", "apps.alerts",
    )
)  # fmt: skip


@cache
def _key_pair() -> tuple[str, str]:
    """Made once: a key costs 50 ms and more."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def service_account(short: str, token_url: str) -> dict[str, str]:
    """What Google's key file of a service account holds."""
    return {
        "type": "service_account", "project_id": f"bailey-{short}", "private_key_id": short,
        "private_key": _key_pair()[0],
        "client_email": f"bailey@bailey-{short}.iam.gserviceaccount.com",
        "client_id": str(int.from_bytes(short.encode()) + 10**20)[-21:], "token_uri": token_url,
    }  # fmt: skip


def parameter(name: str, value: Any) -> dict[str, Any]:
    """One parameter of an event, in the field that Google has for its kind of value."""
    if isinstance(value, dict):
        inner = [parameter(*each) for each in value.items()]
        return {"name": name, "messageValue": {"parameter": inner}}
    if isinstance(value, bool):
        return {"name": name, "boolValue": value}
    if isinstance(value, int):
        return {"name": name, "intValue": str(value)}
    return {"name": name, ("multiValue" if isinstance(value, list) else "value"): value}


@dataclass
class Workspace(Company):
    """``cfo`` is the administrator.  ``granted``: the scopes delegated to the service account."""

    granted: tuple[str, ...] = GRANTED
    account: dict[str, str] = field(default_factory=dict)
    opened: list[Any] = field(default_factory=list)

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        self.public_key = _key_pair()[1]
        short = self.tenant_id[:8]
        self.customer_id = f"C0{short}"
        self.admin = self.mail("cfo")
        self.account = service_account(short, f"{self.cloud.https}/token")
        self.topic = f"projects/bailey-{short}/topics/gmail"
        self.subscription = f"projects/bailey-{short}/subscriptions/gmail"
        self.delegate(*self.granted)

    @property
    def second(self) -> dict[str, str]:
        """Another service account, for account response alone."""
        return service_account(f"{self.tenant_id[:7]}r", f"{self.cloud.https}/token")

    def delegate(self, *scopes: str, second: Sequence[str] = ()) -> None:
        """``second``: to the other account; what is not named is taken back."""
        wanted = ((self.account, scopes), (self.second, second))
        self.cloud.admin("PUT", f"google/{self.tenant_id}", {
            "customer_id": self.customer_id, "admin": self.admin,
            "delegations": [{
                "client_email": account["client_email"],
                "client_id": account["client_id"],
                "key_id": account["private_key_id"], "public_key_pem": self.public_key,
                "scopes": list(granted),
            } for account, granted in wanted if granted],
        })  # fmt: skip

    def happened(self, name: str, application: str, event: str, **how: Any) -> None:
        """An activity of a person's, in Google's shape.  ``how``: ``parameters`` by name, ``at``,
        ``ip``, ``region``, ``late_s``, ``actor``.
        """
        activity: dict[str, Any] = {
            "id": {"applicationName": application, **({"time": how["at"]} if "at" in how else {})},
            "ipAddress": how.get("ip", "198.51.100.7"), "late_s": how.get("late_s", 0),
            "events": [{"type": how.get("type", application), "name": event, "parameters": [
                parameter(*each) for each in how.get("parameters", {}).items()
            ]}],
        }  # fmt: skip
        if "region" in how:
            activity["networkInfo"] = {"regionCode": how["region"]}
        if "actor" in how:
            activity["actor"] = how["actor"]
        self.account_of(name, activities=[activity])

    def opened_link(self, name: str, message_id: str, *, kind: int = 15, **how: Any) -> None:
        """What Google's log of Gmail says of it.  ``kind``: its number of what happened."""
        said = {
            "event_info": {"mail_event_type": kind, "success": True},
            "message_info": {"rfc2822_message_id": message_id, "subject": "Plan"},
        }
        self.happened(name, "gmail", "delivery", type="delivery_type", parameters=said, **how)

    def account_of(self, name: str, **records: Any) -> None:
        self.cloud.admin("PUT", f"mailboxes/{self.mail(name)}/workspace", records)

    def shown(self, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.cloud.admin("GET", f"mailboxes/{self.mail(name)}/workspace")
        return shown

    def subscribe(self, push_url: str = "") -> None:
        self.cloud.admin("PUT", "pubsub", {
            "topic": self.topic, "subscription": self.subscription,
            "owner": self.account["client_email"], "push_url": push_url,
        })  # fmt: skip

    @override
    def close(self) -> None:
        super().close()
        for each in self.opened:
            each.close()

    @property
    def key_json(self) -> str:
        return json.dumps(self.account)

    def gmail(self, name: str, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """One call for a person, below ``users/me/``; an independent token by google-auth."""
        response = self.cloud.client.request(
            method, f"{self.cloud.http}/gmail/v1/users/me/{path}",
            headers={"authorization": f"Bearer {self.token_for(self.mail(name))}"}, **options,
        )  # fmt: skip
        assert response.status_code == status, response.text
        return response.json() if response.content else None

    def token_for(self, subject: str, *scopes: str) -> str:
        """A token as google-auth gets it."""
        from google.auth.transport.requests import Request
        from google.oauth2 import service_account
        from requests import Session

        session = Session()
        session.trust_env = False
        session.verify = str(self.cloud.ca)
        made = service_account.Credentials.from_service_account_info(
            self.account, scopes=scopes or (f"{HEAD}gmail.modify",), subject=subject
        )
        made.refresh(Request(session=session))
        session.close()
        return str(made.token)

    def labels(self, name: str, internet_message_id: str) -> set[str]:
        """The labels of one mail, by their names, as Gmail shows them."""
        (found,) = self.gmail(name, "GET", "messages", params={
            "q": f"rfc822msgid:{internet_message_id.strip('<>')}", "includeSpamTrash": "true",
        })["messages"]  # fmt: skip
        message = self.gmail(name, "GET", f"messages/{found['id']}", params={"format": "minimal"})
        names = {each["id"]: each["name"] for each in self.gmail(name, "GET", "labels")["labels"]}
        return {names[each] for each in message.get("labelIds", ())}


def raw_of(message: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64decode(message["raw"])
