"""What changed in a mailbox's settings between two looks, in words.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from api_bridge.accounts.shapes import AccountState, AppGrant, Settings, SignInMethod
from api_bridge.connectors import Delegate, Forwarding, MailboxRule

_T = TypeVar("_T")
# Names of a provider's conditions → what stands before their values.
_LOOKS_FOR = {
    "bodyContains": "with {} in its text",
    "bodyOrSubjectContains": "with {}",
    "subjectContains": "with {} in its subject",
    "subject": "with {} in its subject",
    "senderContains": "from {}",
    "fromAddresses": "from {}",
    "from": "from {}",
    "recipientContains": "to {}",
    "sentToAddresses": "to {}",
    "to": "to {}",
    "headerContains": "with {} in its headers",
    "query": "that matches {}",
}
MOST_WORDS = 8


def what_it_does(rule: MailboxRule) -> str:
    """``moves mail with “invoice” to RSS Feeds and marks it read``."""
    mail = f"mail {_looked_for(rule)}".strip() if rule.criteria else "all mail"
    acts = []
    if rule.forward_to:
        acts.append(f"sends {mail} on to {_listed(rule.forward_to)}")
    if rule.moves_to:
        acts.append(f"moves {mail} to {rule.moves_to}")
    elif rule.skips_inbox and not rule.deletes:
        acts.append(f"takes {mail} out of the inbox")
    if rule.deletes:
        acts.append(f"deletes {mail}")
    if rule.marks_read:
        acts.append("marks it read" if acts else f"marks {mail} read")
    # The mail is named once; after that it is "it".
    said = [acts[0], *(act.replace(mail, "it") for act in acts[1:])] if acts else []
    return " and ".join(said) or f"does nothing that is known here with {mail}"


def _looked_for(rule: MailboxRule) -> str:
    """Values of one condition are alternatives, conditions add up: at Microsoft and at Google."""
    by_name: dict[str, list[str]] = {}
    for name, value in rule.criteria[:MOST_WORDS]:
        by_name.setdefault(name, []).append(f"“{value}”")
    return " and ".join(
        _LOOKS_FOR.get(name, name + " {}").format(_one_of(values))
        for name, values in by_name.items()
    )


def _one_of(values: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(values[:-1]), values[-1])))


def _listed(values: Sequence[str]) -> str:
    return ", ".join(values[:MOST_WORDS])


def name_of(rule: MailboxRule) -> str:
    return f"Rule “{rule.name}”" if rule.name.strip(" .,") else f"A rule named “{rule.name}”"


def changes_between(before: Settings | None, after: Settings) -> list[str]:
    """Nothing for the first look, and for parts that were not known before."""
    if before is None:
        return []
    return [
        *_of_rules(before.rules, after.rules),
        *_of_forwarding(before.forwarding, after.forwarding),
        *_of_sets(before.delegates, after.delegates, lambda each: each.address, _delegate),
        *_of_sets(before.grants, after.grants, lambda each: each.id, _grant),
        *_of_sets(before.methods, after.methods, lambda each: each.id, _method),
        *_of_state(before.state, after.state),
    ]


def _of_rules(
    before: Sequence[MailboxRule] | None, after: Sequence[MailboxRule] | None
) -> Iterable[str]:
    if before is None or after is None:
        return
    known = {rule.id: rule for rule in before}
    for rule in after:
        was = known.pop(rule.id, None)
        if was is None:
            is_off = "" if rule.is_enabled else ", but is switched off"
            yield f"{name_of(rule)} is new: it {what_it_does(rule)}{is_off}."
        elif was.is_enabled != rule.is_enabled:
            state = "on" if rule.is_enabled else "off"
            yield f"{name_of(rule)} was switched {state}: it {what_it_does(rule)}."
        elif what_it_does(was) != what_it_does(rule):
            yield f"{name_of(rule)} now {what_it_does(rule)}; before, it {what_it_does(was)}."
        elif was.name != rule.name:
            yield f"Rule “{was.name}” is called “{rule.name}” now."
    for rule in known.values():
        yield f"{name_of(rule)} is gone: it {_past(rule)}."


def _of_state(before: AccountState | None, after: AccountState | None) -> Iterable[str]:
    if before is None or after is None:
        return
    if before.is_suspended != after.is_suspended:
        why = f" ({after.why_suspended})" if after.why_suspended else ""
        yield (
            f"The account was suspended{why}."
            if after.is_suspended
            else ("The account is suspended no more.")
        )
    if before.has_two_steps != after.has_two_steps:
        yield f"2-step verification was switched {'on' if after.has_two_steps else 'off'}."
    if before.is_admin != after.is_admin:
        yield (
            "The account became an administrator's."
            if after.is_admin
            else ("The account is an administrator's no more.")
        )
    for what, was, now in (
        ("address", before.recovery_email, after.recovery_email),
        ("phone", before.recovery_phone, after.recovery_phone),
    ):
        if was != now:
            yield f"Recovery {what}: {now or 'none'}; before: {was or 'none'}."


def _past(rule: MailboxRule) -> str:
    return f"was one that {what_it_does(rule)}"


def _of_forwarding(before: Forwarding | None, after: Forwarding | None) -> Iterable[str]:
    was = before if before and before.is_enabled else None
    now = after if after and after.is_enabled else None
    if was == now:
        return
    if now is None:
        assert was is not None  # they differ
        yield f"Forwarding to {was.address} is off."
        return
    copy = "keeps a copy" if now.keeps_copy else "keeps no copy here"
    yield f"All mail now goes on to {now.address}; the mailbox {copy}."


def _of_sets(
    before: Sequence[_T] | None,
    after: Sequence[_T] | None,
    key: Callable[[_T], str],
    words: Callable[[_T], str],
) -> Iterable[str]:
    if before is None or after is None:
        return
    known = {key(each): each for each in before}
    for each in after:
        was = known.pop(key(each), None)
        if was is None:
            yield f"New: {words(each)}."
        elif words(was) != words(each):
            yield f"Changed: {words(each)}; before: {words(was)}."
    for each in known.values():
        yield f"Gone: {words(each)}."


def _delegate(each: Delegate) -> str:
    waits = "" if each.is_active else " (not accepted yet)"
    return f"{each.address} may read and send as this mailbox{waits}"


def _grant(each: AppGrant) -> str:
    name = each.app_name or each.app_id
    return f"application “{name}” may act for this person: {', '.join(each.scopes) or 'no scope'}"


def _method(each: SignInMethod) -> str:
    return f"way to sign in: {each.kind}{f' ({each.detail})' if each.detail else ''}"
