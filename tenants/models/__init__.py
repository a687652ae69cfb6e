"""Who: providers, their clients, the people, and what they did."""

from tenants.models.audit import AuditEntry
from tenants.models.client import (
    ClientGroup,
    Domain,
    GroupMember,
    Mailbox,
    MailboxGroup,
    MailboxGroupMember,
    Provider,
    Tenant,
)
from tenants.models.people import ApiToken, Assignment, IdempotencyKey, Person, Session
from tenants.models.work import OutgoingMail, Work

__all__ = [
    "ApiToken",
    "Assignment",
    "AuditEntry",
    "ClientGroup",
    "Domain",
    "GroupMember",
    "IdempotencyKey",
    "Mailbox",
    "MailboxGroup",
    "MailboxGroupMember",
    "OutgoingMail",
    "Person",
    "Provider",
    "Session",
    "Tenant",
    "Work",
]
