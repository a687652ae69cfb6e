"""The one shape of every mailbox provider: dataclasses in and out, vendor JSON stays inside.

A provider is one folder here (client, mapping) and one line in ``CONNECTORS``.  What goes in and
out is in ``shapes`` and its neighbours (``folder_shapes``, ``setting_shapes``), what can be asked
in ``protocols``.  No Django: the callers read rows, leave the scope, call a connector, and enter
the scope again to write.  Errors: ``api_bridge.errors``.
"""

from __future__ import annotations

from importlib import import_module

from api_bridge.connectors.folder_shapes import FolderAsk, FolderPage, MailFolder
from api_bridge.connectors.protocols import (
    Connector,
    Heard,
    Listening,
    Listens,
    ListsGroups,
    ListsIds,
    PullsPushes,
    ReadsFolders,
    ReadsMany,
    ReadsSettings,
    ReadsVerdicts,
)
from api_bridge.connectors.setting_shapes import Delegate, Forwarding, MailboxRule
from api_bridge.connectors.shapes import (
    GMAIL_RAW,
    GOOGLE_HOSTS,
    IMAP,
    MICROSOFT_HOSTS,
    ORIGINAL,
    Action,
    ActionRecord,
    ActionSeen,
    Capability,
    Connection,
    Fetched,
    Group,
    Item,
    Mailbox,
    MailboxState,
    Members,
    Page,
    PulledPushes,
    Ref,
    Result,
    Runtime,
    State,
    Subscription,
    VendorVerdict,
)

__all__ = [
    "CONNECTORS",
    "GMAIL_RAW",
    "GOOGLE_HOSTS",
    "IMAP",
    "MICROSOFT_HOSTS",
    "ORIGINAL",
    "Action",
    "ActionRecord",
    "ActionSeen",
    "Capability",
    "Connection",
    "Connector",
    "Delegate",
    "Fetched",
    "FolderAsk",
    "FolderPage",
    "Forwarding",
    "Group",
    "Heard",
    "Item",
    "Listening",
    "Listens",
    "ListsGroups",
    "ListsIds",
    "MailFolder",
    "Mailbox",
    "MailboxRule",
    "MailboxState",
    "Members",
    "Page",
    "PulledPushes",
    "PullsPushes",
    "ReadsFolders",
    "ReadsMany",
    "ReadsSettings",
    "ReadsVerdicts",
    "Ref",
    "Result",
    "Runtime",
    "State",
    "Subscription",
    "VendorVerdict",
    "open_connector",
]

CONNECTORS = {
    "graph": "api_bridge.connectors.graph.GraphConnector",
    "google": "api_bridge.connectors.google.GoogleConnector",
    "imap": "api_bridge.connectors.imap.ImapConnector",
}


def open_connector(connection: Connection, runtime: Runtime) -> Connector:
    """Raises ``Rejected`` if the settings are wrong or point outside ``runtime.allowed_hosts``."""
    module_name, _, class_name = CONNECTORS[connection.kind].rpartition(".")
    connector_class = getattr(import_module(module_name), class_name)
    connector: Connector = connector_class(connection, runtime)
    return connector
