"""A finding in words: what is wrong, what it does, and what to set at the mail host.

The settings are called as the vendors called them in November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass

from incidents.interference.checks import Kind

MICROSOFT, GOOGLE, ELSEWHERE = "Microsoft 365", "Google Workspace", "The service that does it"


@dataclass(frozen=True, slots=True)
class Fix:
    """``steps`` in their order; ``source``: the vendor's page, "" where there is none."""

    host: str
    steps: tuple[str, ...]
    source: str = ""


# --- what is wrong

_NAMES = {
    "safelinks": "Safe Links of Microsoft Defender",
    "teams_safelinks": "Safe Links of Microsoft Teams",
    "urldefense": "URL Defense of Proofpoint",
    "urldefense_v3": "URL Defense of Proofpoint",
    "trendmicro": "Trend Micro",
    "checkpoint": "Check Point Harmony (Avanan)",
    "outlook_web": "Outlook on the web",
}
_MICROSOFTS = ("safelinks", "teams_safelinks")
_WRONG = {
    "missing": "reached the mailbox without X-Bailey-Trace, which the gateway had set: something on"
    " the way takes it off",
    "broken": "carried an X-Bailey-Trace that proves nothing: something on the way changes it",
    "spf": "failed SPF at the mail host although the gateway had found the sender in order: the"
    " mail host takes {value} for the sender",
    "wrapped": "had their links wrapped by {value} after the gateway had passed them",
    "replaced": "have links to {value} where the gateway had seen others: something on the way"
    " rewrites them",
    "junked": "were passed by the gateway as harmless and lay in the junk folder at first sight",
    "junked_released": "were released by a person and lay in the junk folder at first sight",
    "never_shown": "were taken by the mail host, and their mailboxes, which have shown later mail,"
    " never showed them",
}
_HARM = {
    "missing": "The layers recognise such a copy by id, sender and content only, and whoever comes"
    " around the gateway looks the same.",
    "broken": "The layers recognise such a copy by id, sender and content only, and a forged trace"
    " looks the same.",
    "spf": "The mail host's own filter judges the gateway instead of the sender: it takes genuine"
    " mail for forged, and learns nothing about forgers.",
    "wrapped": "Readers cannot see where a link leads, and each filter behind the first judges the"
    " wrapper. Bailey looks through it where the target stands in the address.",
    "replaced": "The mailbox layer judges other links than the gateway did, and mail of one"
    " campaign no longer looks alike.",
    "junked": "A mail that both layers hold harmless is out of its reader's sight.",
    "junked_released": "What a person has decided is undone by the next filter.",
    "never_shown": "They wait in the mail host's quarantine, where neither layer sees them, or"
    " somebody deleted them before they were seen.",
}


def name_of(cause: str, value: str) -> str:
    """What a finding's value is called."""
    if cause == "wrapped":
        return _NAMES.get(value, value.replace("_", " ").title())
    return value or "another host"


def what_is_wrong(cause: str, value: str, copies: int, of: int) -> str:
    """One sentence: how many of how many, and what befell them."""
    whole = "copy" if of == 1 else "copies"
    return f"{copies:,} of {of:,} {whole} {_WRONG[cause].format(value=name_of(cause, value))}."


def harm_of(cause: str) -> str:
    return _HARM[cause]


# --- what to do

_DEFENDER = "Microsoft Defender portal → Email & collaboration → Policies & rules → Threat policies"
_EXCHANGE = "Exchange admin center → Mail flow"
_GMAIL = "Admin console → Apps → Google Workspace → Gmail"
_EFC = (
    # https://learn.microsoft.com/exchange/mail-flow-best-practices/
    #   use-connectors-to-configure-mail-flow/enhanced-filtering-for-connectors
    f"{_EXCHANGE} → Connectors: there is one from “Partner organization” for the gateway, which"
    " verifies it by its IP address or certificate.",
    f"{_DEFENDER} → Enhanced filtering → that connector: “Automatically detect and skip the last IP"
    " address”, or “Skip these IP addresses that are associated with the connector” with all"
    " addresses of the gateway. Apply to the entire organization.",
    "In Exchange Online PowerShell: Set-InboundConnector -Identity <name> -EFSkipLastIP $true",
)
_EFC_SOURCE = (
    "https://learn.microsoft.com/exchange/mail-flow-best-practices/"
    "use-connectors-to-configure-mail-flow/enhanced-filtering-for-connectors"
)
_INBOUND_GATEWAY = (
    # https://support.google.com/a/answer/60730
    f"{_GMAIL} → Spam, phishing, and malware → Inbound gateway: all addresses of the gateway stand"
    " under “Gateway IPs”, and “Automatically detect external IP” is on.",
)
_INBOUND_SOURCE = "https://support.google.com/a/answer/60730"
_RULES_SOURCE = (
    "https://learn.microsoft.com/exchange/security-and-compliance/mail-flow-rules/"
    "mail-flow-rule-actions"
)

_HEADER = (
    Fix(
        MICROSOFT,
        (
            # The header firewall of Exchange takes X-MS-Exchange-Organization-* and -Forest-* only;
            # others go by a mail flow rule or another server:
            # https://learn.microsoft.com/exchange/header-firewall-exchange-2013-help
            f"{_EXCHANGE} → Rules: find the rule with the action “Modify the message properties →"
            " remove a message header” that names X-Bailey-Trace, and end it or make an exception."
            " In PowerShell: Get-TransportRule | Where-Object RemoveHeader",
            f"{_EXCHANGE} → Connectors: where mail leaves for another service and comes back (a"
            " signature or archive service), that service must keep headers as they are.",
        ),
        _RULES_SOURCE,
    ),
    Fix(
        GOOGLE,
        (
            # https://support.google.com/a/answer/2786758
            f"{_GMAIL} → Routing, and → Compliance: where a rule sends mail through another server"
            " and back, that server must keep X-Bailey-Trace as it is.",
        ),
        "https://support.google.com/a/answer/2786758",
    ),
)
_CONNECTOR = (
    Fix(MICROSOFT, _EFC, _EFC_SOURCE),
    Fix(GOOGLE, _INBOUND_GATEWAY, _INBOUND_SOURCE),
)
_SAFE_LINKS = (
    Fix(
        MICROSOFT,
        (
            # https://learn.microsoft.com/defender-office-365/safe-links-policies-configure
            f"{_DEFENDER} → Safe Links → the policy of these mailboxes → “Do not rewrite URLs, do"
            " checks via Safe Links API only”: on. Outlook goes on checking at each click.",
            "In Exchange Online PowerShell: Set-SafeLinksPolicy -Identity <name>"
            " -DisableUrlRewrite $true",
            "Where rewriting has to stay: nothing to do for Bailey, which undoes it before it"
            " compares the copies.",
        ),
        "https://learn.microsoft.com/defender-office-365/safe-links-policies-configure",
    ),
)
_REWRITER = (
    Fix(
        ELSEWHERE,
        (
            "Switch its rewriting of links off for mail that comes from the gateway, or let it"
            " check at the click alone.",
            "Its name stands in the addresses of the links, and in the Received lines of the mails"
            " below.",
        ),
    ),
    Fix(
        MICROSOFT,
        (
            # https://learn.microsoft.com/exchange/mail-flow-best-practices/
            #   use-connectors-to-configure-mail-flow/use-connectors-to-configure-mail-flow
            f"{_EXCHANGE} → Connectors and → Rules: see where mail leaves for that service; end it,"
            " or except mail that carries X-Bailey-Trace.",
        ),
        "https://learn.microsoft.com/exchange/mail-flow-best-practices/"
        "use-connectors-to-configure-mail-flow/use-connectors-to-configure-mail-flow",
    ),
    Fix(
        GOOGLE,
        (
            # https://support.google.com/a/answer/2786758
            f"{_GMAIL} → Routing, and → Compliance: see which rule sends mail through it.",
        ),
        "https://support.google.com/a/answer/2786758",
    ),
)
_JUNKED = (
    Fix(
        MICROSOFT,
        (
            # https://learn.microsoft.com/exchange/mail-flow-best-practices/
            #   manage-mail-flow-using-third-party-cloud
            *_EFC,
            f"{_DEFENDER} → Anti-spam → the inbound policy: see which verdict has the action “Move"
            " message to Junk Email folder”. If one mailbox alone is concerned:"
            " Get-MailboxJunkEmailConfiguration shows the senders that its owner blocks.",
            "Only if the mail host shall not filter at all: a mail flow rule for the gateway's"
            " addresses with “Set the spam confidence level (SCL)” to “Bypass spam filtering”, and"
            " a connector that refuses mail from anywhere else. Microsoft prefers the first way.",
        ),
        "https://learn.microsoft.com/exchange/mail-flow-best-practices/"
        "manage-mail-flow-using-third-party-cloud",
    ),
    Fix(
        GOOGLE,
        (
            *_INBOUND_GATEWAY,
            # https://support.google.com/a/answer/60730
            "Only if Gmail shall not filter at all: in the same setting under “Message Tagging”,"
            " “Disable Gmail spam evaluation on mail from this gateway; only use header value”.",
        ),
        _INBOUND_SOURCE,
    ),
)
_NEVER_SHOWN = (
    Fix(
        MICROSOFT,
        (
            # https://learn.microsoft.com/defender-office-365/quarantine-admin-manage-messages-files
            "Microsoft Defender portal → Email & collaboration → Review → Quarantine: look for the"
            " recipients below. In PowerShell: Get-QuarantineMessage -RecipientAddress <address>",
            f"{_EXCHANGE} → Message trace: look for the Message-ID, which stands in each trace.",
            "If it lies in quarantine, release it there, and go on as for mail in the junk folder:"
            f" {_EFC[1]}",
        ),
        "https://learn.microsoft.com/defender-office-365/quarantine-admin-manage-messages-files",
    ),
    Fix(
        GOOGLE,
        (
            # https://support.google.com/a/answer/6104172
            f"{_GMAIL} → Manage quarantines: look for the recipients below. Reporting → Email Log"
            " Search finds the Message-ID, which stands in each trace.",
            *_INBOUND_GATEWAY,
        ),
        "https://support.google.com/a/answer/6104172",
    ),
)
_FIXES: dict[str, tuple[Fix, ...]] = {
    "missing": _HEADER,
    "broken": _HEADER,
    "spf": _CONNECTOR,
    "wrapped": _REWRITER,
    "replaced": _REWRITER,
    "junked": _JUNKED,
    "junked_released": _JUNKED,
    "never_shown": _NEVER_SHOWN,
}
CAUSES: dict[str, tuple[str, ...]] = {
    Kind.HEADER: ("missing", "broken"),
    Kind.CONNECTOR: ("spf",),
    Kind.LINKS: ("wrapped", "replaced"),
    Kind.DOUBLE_QUARANTINE: ("junked", "junked_released", "never_shown"),
}


def fixes_of(cause: str, value: str) -> tuple[Fix, ...]:
    """What to set, for each mail host."""
    if cause == "wrapped" and value in _MICROSOFTS:
        return _SAFE_LINKS
    return _FIXES[cause]
