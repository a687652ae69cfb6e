"""Records that were seen once and are there no more: what a change in a client's DNS may break.

Pure, but for the lookups that it is given.  What is kept of a domain (``DomainCheck.standing``):

``mx``        True once all its MX records named our gates
``dkim``      selector → digest of its public key, as last seen
``changed``   selector → ISO time at which its key was seen to change
``troubles``  what is wrong now: code, key and words, as incidents/findings.py takes them
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from seg_bridge.engines.embedded.resolver import Lookup, ResolverFailed

# Under which names the large mail hosts publish their keys:
# https://learn.microsoft.com/defender-office-365/email-authentication-dkim-configure,
# https://support.google.com/a/answer/180504; read November 2026.
SELECTORS = ("selector1", "selector2", "google")
# A changed key may be a planned one: it is told for so long.
TOLD_FOR = timedelta(days=2)
_KEY = re.compile(r"(?:^|;)\s*p\s*=\s*([^;]*)")


def look_for_keys(lookup: Lookup, domain: str, selectors: Collection[str]) -> dict[str, str] | None:
    """Selector → digest of its key, "" for a key that was taken back (RFC 6376, section 3.6.1);
    a selector without a record is left out.  None: DNS did not answer.
    """
    found = {}
    for selector in sorted({*SELECTORS, *selectors}):
        try:
            texts = lookup(f"{selector}._domainkey.{domain}", "TXT")
        except ResolverFailed:
            return None
        keys = [match[1] for text in texts if (match := _KEY.search(text))]
        if keys:
            plain = "".join(keys[0].split())
            found[selector] = hashlib.sha256(plain.encode()).hexdigest()[:16] if plain else ""
    return found


def stand_now(
    before: Mapping[str, Any],
    *,
    domain: str,
    mx: Mapping[str, Any],
    keys: Mapping[str, str] | None,
    now: datetime,
) -> dict[str, Any]:
    """What is kept from now on.  ``mx`` as ``look_for_mx`` answers; a resolver that did not answer
    changes nothing.
    """
    kept: dict[str, Any] = {**before}
    old = {(code, key): words for code, key, words in before.get("troubles", [])}
    troubles: dict[tuple[str, str], str] = {}
    if mx["state"] == "no_answer":
        troubles |= {name: words for name, words in old.items() if name[0] == "mx"}
    else:
        kept["mx"] = bool(before.get("mx")) or mx["state"] == "seen"
        if kept["mx"] and mx["state"] != "seen":
            troubles["mx", domain] = f"{domain}: {mx['words']}"
    if keys is None:
        troubles |= {name: words for name, words in old.items() if name[0] == "dkim"}
    else:
        troubles |= _keys_now(kept, domain, keys, now)
    kept["troubles"] = [[code, key, words] for (code, key), words in troubles.items()]
    return kept


def _keys_now(
    kept: dict[str, Any], domain: str, keys: Mapping[str, str], now: datetime
) -> dict[tuple[str, str], str]:
    known: dict[str, str] = dict(kept.get("dkim", {}))
    changed: dict[str, str] = dict(kept.get("changed", {}))
    troubles = {}
    for selector in sorted({*known, *keys}):
        name = f"{selector}._domainkey.{domain}"
        if not keys.get(selector):
            if known.get(selector):
                troubles["dkim", name] = f"{name} was there and is not: its signatures fail."
            continue
        if known.get(selector) and known[selector] != keys[selector]:
            changed[selector] = now.isoformat()
        known[selector] = keys[selector]
        at = changed.get(selector)
        if at and datetime.fromisoformat(at) > now - TOLD_FOR:
            day = datetime.fromisoformat(at)
            troubles["dkim", name] = (
                f"{name} has had another key since {day:%-d %B %Y}. If nobody meant that, somebody"
                " else can sign in the domain's name."
            )
    kept["dkim"], kept["changed"] = known, changed
    return troubles
