"""Mailboxes of any IMAP server (RFC 3501), a Dovecot above all."""

from api_bridge.connectors.imap.connector import ImapConnector

__all__ = ["ImapConnector"]
