"""What each step of a response needs and what it does to the person, host by host.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

from api_bridge.accounts.models import AccountStep
from api_bridge.connectors.google import tokens as scopes

Kind = AccountStep.Kind
_LEADS_GRANT = "A lead withdraws an application's access: it cannot be put back from here."
LEADS_ADMIN = "A lead acts on an administrator's account: others depend on it."


@dataclass(frozen=True, slots=True)
class Impact:
    """``needs``: permissions or scopes, all of them.  ``text``: what it does to the person.
    ``leads``: why it is a lead's to order, "": whoever handles the client's mail may.
    """

    needs: tuple[str, ...]
    text: str
    leads: str = ""


GRAPH: dict[str, Impact] = {
    Kind.REVOKE_SESSIONS: Impact(
        ("User.RevokeSessions.All",),
        "Everybody who is signed in as this person is signed out, she too; what is open works for"
        " up to an hour more. Cannot be taken back, and need not: she signs in again.",
    ),
    Kind.DISABLE: Impact(
        ("User.EnableDisableAccount.All",),
        "Nobody can sign in as this person any more: no mail, no files, no meetings, until it is"
        " switched on again. Mail still arrives. Reversible.",
    ),
    Kind.ENABLE: Impact(
        ("User.EnableDisableAccount.All",),
        "This person can sign in again, and so can whoever has her password.",
    ),
    Kind.NEW_PASSWORD: Impact(
        ("User-PasswordProfile.ReadWrite.All",),
        "The next sign-in asks for a new password. Whoever knows the old one may be the one who"
        " chooses it: end its sessions, and switch signing in off until you reach the person.",
    ),
    Kind.DISABLE_RULE: Impact(
        ("MailboxSettings.ReadWrite",),
        "The rule acts on no further mail; what it has moved stays where it is. Reversible.",
    ),
    Kind.ENABLE_RULE: Impact(
        ("MailboxSettings.ReadWrite",),
        "The rule acts on new mail again, exactly as it was.",
    ),
    Kind.REVOKE_GRANT: Impact(
        ("DelegatedPermissionGrant.ReadWrite.All",),
        "The application can no longer act for this person; what it holds works for up to an hour"
        " more. Not reversible here: she would have to consent anew.",
        _LEADS_GRANT,
    ),
}
GOOGLE: dict[str, Impact] = {
    Kind.REVOKE_SESSIONS: Impact(
        (scopes.USER_SECURITY, scopes.REPORTS),
        "This person is signed out of the web and of all devices, and so is everybody else who is"
        " signed in as her. Applications that she let in stay: shut them out, too. Cannot be taken"
        " back, and need not: she signs in again. Google shows some minutes later that it is done.",
    ),
    Kind.DISABLE: Impact(
        (scopes.CHANGE_USERS,),
        "The account is suspended: no mail, no files, no calendar, and mail to it is sent back,"
        " until it is suspended no more. Its filters, forwarding and delegates cannot be seen or"
        " changed meanwhile: take those steps first. Reversible.",
    ),
    Kind.ENABLE: Impact(
        (scopes.CHANGE_USERS,),
        "This person can sign in again, and so can whoever has her password.",
    ),
    Kind.NEW_PASSWORD: Impact(
        (scopes.CHANGE_USERS,),
        "The next sign-in with a Google password asks for a new one; who signs in by the company's"
        " own sign-in (SAML) is not asked. Whoever knows the old one may be the one who chooses:"
        " end its sessions, and suspend it until you reach the person.",
    ),
    Kind.DISABLE_RULE: Impact(
        (scopes.SETTINGS_BASIC,),
        "Gmail cannot switch a filter off, so it is deleted and kept here. It acts on no further"
        " mail; what it has moved stays where it is. Reversible: it is made anew, the same.",
    ),
    Kind.ENABLE_RULE: Impact(
        (scopes.SETTINGS_BASIC,),
        "The filter is made anew with the same content and acts on new mail again.",
    ),
    Kind.FORWARDING_OFF: Impact(
        (scopes.SETTINGS_SHARING,),
        "New mail stays in the mailbox; what went out is out. The address stays confirmed, so"
        " whoever has the mailbox can switch it on again. Reversible.",
    ),
    Kind.FORWARDING_ON: Impact(
        (scopes.SETTINGS_SHARING,),
        "All new mail goes on to the same address again, and is kept or not as before.",
    ),
    Kind.REMOVE_DELEGATE: Impact(
        (scopes.SETTINGS_SHARING,),
        "This colleague can no longer read and send as this mailbox. Reversible.",
    ),
    Kind.ADD_DELEGATE: Impact(
        (scopes.SETTINGS_SHARING,),
        "This colleague may read and send as this mailbox again.",
    ),
    Kind.REVOKE_GRANT: Impact(
        (scopes.USER_SECURITY,),
        "All tokens of the application for this person end at once. Not reversible here: she would"
        " have to let it in anew.",
        _LEADS_GRANT,
    ),
}
# What reading back needs besides.
READ_BACK = {"graph": ("User.Read.All",), "google": (scopes.USERS,)}
IMPACT = {"graph": GRAPH, "google": GOOGLE}
