"""Money that should go elsewhere than before."""

from __future__ import annotations

from collections.abc import Iterator

from api_bridge.detect.context import Case, Detector
from incidents.mail.signals.money import Account, accounts_in
from incidents.mail.signals.talk import topics_of
from incidents.observations import Reason

_MONEY_TOPICS = ("payment", "payment_change", "boss_task", "gift_cards")


def _bank_accounts(case: Case) -> list[Account]:
    written = accounts_in(f"{case.reading.facts.subject}\n{case.reading.shown_text}")
    return [account for account in written if account.kind in ("iban", "us", "uk")]


def account_changed(case: Case) -> Iterator[Reason]:
    """An account that this sender has never named, while he has named another before."""
    known = case.context.payment_accounts_of_sender
    unknown = [account for account in _bank_accounts(case) if account.number not in known]
    if not unknown:
        return
    account = unknown[0]
    if known:
        before = ", ".join(sorted(number[-4:] for number in known)[:3])
        yield Reason(
            "account_changed",
            f"The mail names an account ending {account.ending}; until now this sender's account "
            f"ended {before}.",
            account.number,
        )
    else:
        yield Reason(
            "account_never_seen",
            f"The mail names an account ending {account.ending}, which was never seen at this "
            "client.",
            account.number,
        )


def account_known(case: Case) -> Iterator[Reason]:
    written = _bank_accounts(case)
    known = case.context.payment_accounts_of_sender
    if written and all(account.number in known for account in written):
        yield Reason(
            "account_known",
            f"The account ending {written[0].ending} is the one this sender has used before.",
            written[0].number,
        )


def change_announced(case: Case) -> Iterator[Reason]:
    """The words of a changed account together with an account, or from a stranger."""
    topics = topics_of(case.reading)
    if "payment_change" not in topics:
        return
    said = topics["payment_change"][1][0]
    has_account = any(
        account.number not in case.context.payment_accounts_of_sender
        for account in _bank_accounts(case)
    )
    is_stranger = (
        case.context.history_known
        and not case.context.is_internal
        and case.context.sender_history.mails_to_client == 0
    )
    if has_account:
        yield Reason(
            "payment_change_with_account",
            f"The text says “{said}” and names an account that is new here.",
            said,
        )
    elif is_stranger:
        yield Reason(
            "payment_change_by_stranger",
            f"A sender who never wrote before says “{said}”.",
            said,
        )


def stranger_about_money(case: Case) -> Iterator[Reason]:
    """First contact, answers led elsewhere, and talk of money: the shape of fraud by letter."""
    context = case.context
    if not context.history_known or context.is_internal or context.sender_history.mails_to_client:
        return
    topics = topics_of(case.reading)
    about = [name for name in _MONEY_TOPICS if topics.get(name, (0, ()))[0] >= 4]
    if about and not case.reading.facts.list_id and not case.reading.links:
        phrase = topics[about[0]][1][0]
        yield Reason(
            "stranger_about_money",
            f"A sender who never wrote before comes to money at once: “{phrase}”.",
            phrase,
        )


DETECTORS: tuple[Detector, ...] = (
    account_changed,
    account_known,
    change_announced,
    stranger_about_money,
)
