"""What each layer will do now with a mail that somebody is about to let go, before she does.

``foresee(copy)``     the other layer first: of a mail that the gateway holds the mailbox layer, of
                      one that was pulled from a mailbox the gateway
``foresee_all(…)``    of many copies, what is said of several once

Each layer judges by its own code; what follows from that is said here, from the client's settings,
standing orders and exceptions of now.  Where it cannot be known, why.  docs/held-mail.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from incidents.allowed import NEVER_BEATEN, allowing_entries, let_be
from incidents.campaigns.moving import lineage
from incidents.layers import Judged, LayerError, NoMailbox, gateway_layer, mailbox_layer
from incidents.models import Delivery, Incident, Intent, LateVerdicts, StandingOrder
from incidents.models.mail import Place, Verdict
from incidents.modes import Mode, modes_of, wish_of
from incidents.orders import orders_in_force
from incidents.proposals import SURE
from incidents.sides import condemned_late
from incidents.words import GRAVE, HARMLESS, Layer, MatrixAction, is_threat

MOST_FORESEEN = 25
_WORST_FIRST = ("pull", "ask", "unknown", "nobody", "reject", "hold", "defer", "tag", "deliver")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """``acts``: ``pull``, ``ask`` (an incident, and a person decides), ``nothing``, ``nobody`` (no
    layer is there); of the gateway ``deliver``, ``hold``, ``reject``, ``defer``; ``unknown``.

    ``verdict`` "" where it is not known; ``reasons`` heaviest first.
    """

    layer: str
    acts: str
    text: str
    verdict: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        return self.acts != "unknown"


def foresee(copy: Delivery) -> list[Foresight]:
    """Needs a scope of client and provider.  Reads; asks no vendor."""
    if copy.place == Place.QUARANTINE:
        return [_gateway(copy), _put_back(copy)]
    return [_mailbox(copy), _gateway(copy)]


@dataclass(frozen=True, slots=True)
class ForeseenTogether:
    """``what`` is said of each of these copies; ``example`` is one of them."""

    what: Foresight
    copies: int
    example: Delivery


def foresee_all(copies: Sequence[Delivery]) -> tuple[list[ForeseenTogether], int]:
    """Of one client; and how many copies nobody looked at, for each costs a reading of the mail.

    The worst first: what is pulled again, what asks a person, what nobody knows.
    """
    looked_at = copies[:MOST_FORESEEN]
    found: dict[tuple[str, str], list[tuple[Foresight, Delivery]]] = {}
    for copy in looked_at:
        for seen in foresee(copy):
            found.setdefault((seen.layer, seen.text), []).append((seen, copy))
    together = [ForeseenTogether(each[0][0], len(each), each[0][1]) for each in found.values()]
    order = {acts: n for n, acts in enumerate(_WORST_FIRST)}
    together.sort(key=lambda each: (order.get(each.what.acts, len(order)), -each.copies))
    return together, len(copies) - len(looked_at)


def why_exception_fails(copy: Delivery, seen: list[Foresight]) -> str:
    """ "" where an entry for both layers would help as it is."""
    words = {copy.gateway_verdict, copy.mailbox_verdict, *(each.verdict for each in seen)}
    grave = sorted(words & set(NEVER_BEATEN))
    if is_threat(copy.person_verdict):
        return "A person has condemned it: no exception beats that. Correct the verdict first."
    if grave:
        names = " and ".join(_name(each) for each in grave)
        return f"A layer holds it to be {names}, which no exception lets pass unless it says so."
    return ""


def _name(verdict: str) -> str:
    return str(Verdict(verdict).label).lower()


def _mailbox(copy: Delivery) -> Foresight:
    """The mail when it arrives in the mailbox."""
    layer = Layer.MAILBOX
    try:
        judged = mailbox_layer().foresee(copy)
    except NoMailbox as error:
        text = f"{error.sentence} Nothing looks at the mail after delivery."
        return Foresight(layer=layer, acts="nobody", text=text)
    except LayerError as error:
        return Foresight(layer=layer, acts="unknown", text=f"Not known. {error.sentence}")
    acts, text = _mailbox_acts(copy, judged)
    return Foresight(
        layer=layer, acts=acts, text=text, verdict=judged.verdict, reasons=judged.reasons
    )


def _mailbox_acts(copy: Delivery, judged: Judged) -> tuple[str, str]:
    said = f"It would judge it {_name(judged.verdict)} when it arrives"
    if judged.verdict in HARMLESS:
        return "nothing", f"{said}, and leave it in the inbox."
    if allowed := _allowed_by(copy, judged):
        return "nothing", f"{said}, and leave it: {allowed}."
    incident = _incident_of(copy)
    wish = wish_of(copy.tenant_id)
    order = _order_for(copy, incident, wish)
    if order is not None:
        until = f"{order.expires_at:%-d %B %H:%M} UTC"
        return "pull", (
            f"{said}, and pull it from the inbox: the standing order of {order.owner_name} holds"
            f" until {until}. An exception for both layers keeps it there."
        )
    is_sure = judged.verdict in GRAVE and (judged.confidence or 0) >= SURE
    if is_sure and _acts_there(copy, wish) and not _was_pulled(copy):
        return "pull", (
            f"{said}, and pull it from the inbox: Bailey acts by itself in this mailbox. An"
            " exception for both layers keeps it there."
        )
    where = f"It stays in incident #{incident.number}" if incident else "It opens an incident"
    return "ask", f"{said}. {where}, and a person decides.{_rule_words(judged, wish)}"


def _acts_there(copy: Delivery, wish: LateVerdicts) -> bool:
    mode = modes_of(copy.tenant_id).of(copy.recipient).mode
    return mode is Mode.AUTO and wish.stopped_at is None


def _was_pulled(copy: Delivery) -> bool:
    """By itself each copy is pulled once."""
    return bool(Intent.objects.filter(tenant=copy.tenant_id, delivery=copy, action="pull").exists())


def _allowed_by(copy: Delivery, judged: Judged) -> str:
    if judged.entry:
        return f"the exception of {judged.entry.get('owner', '')} lets it be"
    entry = allowing_entries([copy]).get(copy.id)
    is_grave = judged.verdict in NEVER_BEATEN and not (entry and entry.beats_threats)
    if entry is None or is_grave or copy.id not in let_be([copy]):
        return ""
    return f"the exception of {entry.owner} lets it be"


def _incident_of(copy: Delivery) -> Incident | None:
    found = Incident.objects.filter(
        tenant=copy.tenant_id, memberships__message=copy.message_id, merged_into=None
    )
    return found.first()


def _order_for(
    copy: Delivery, incident: Incident | None, wish: LateVerdicts
) -> StandingOrder | None:
    """Who would have it pulled as soon as it is seen (incidents/late_copies.py)."""
    if incident is None or incident.is_called_harmless or wish.stopped_at is not None:
        return None
    if _was_pulled(copy):
        return None
    orders = StandingOrder.objects.filter(
        orders_in_force(),
        tenant=copy.tenant_id,
        incident__in=lineage(incident),
        kind=StandingOrder.Kind.PULL,
    )
    return orders.order_by("created_at").first()


def _rule_words(judged: Judged, wish: LateVerdicts) -> str:
    is_auto = wish.rule_mode == LateVerdicts.Mode.AUTO and wish.stopped_at is None
    if is_auto and judged.verdict in GRAVE and (judged.confidence or 0) >= SURE:
        return (
            " This client's late verdicts act by themselves: the gateway would then block mail like"
            " it, unless an exception lets this one be."
        )
    return ""


def _put_back(copy: Delivery) -> Foresight:
    """A copy that was pulled, in its own layer: it is put back, and not judged anew."""
    is_auto = _acts_there(copy, wish_of(copy.tenant_id))
    said = f"It judged it {_name(copy.mailbox_verdict)}" if copy.mailbox_verdict else "It is silent"
    acts, text = "nothing", "It is put back and not judged anew; no order pulls a copy twice."
    if copy.id in let_be([copy]):
        text = "It leaves it: an exception stands."
    elif is_auto and condemned_late(copy.tenant_id, [copy]):
        acts = "pull"
        text = (
            "The gateway condemned it late, and Bailey acts by itself in this mailbox: it may be"
            " pulled again, unless an exception lets it be."
        )
    return Foresight(
        layer=Layer.MAILBOX, acts=acts, text=f"{said}. {text}", verdict=copy.mailbox_verdict
    )


def _gateway(copy: Delivery) -> Foresight:
    """The next mail like it: this copy itself is past the gateway, or let go by a person."""
    layer = Layer.GATEWAY
    try:
        judged = gateway_layer().foresee(copy)
    except LayerError as error:
        return Foresight(layer=layer, acts="unknown", text=f"Not known. {error.sentence}")
    return Foresight(
        layer=layer,
        acts=judged.action,
        text=" ".join(_gateway_words(judged)),
        verdict=judged.verdict,
        reasons=judged.reasons,
    )


_NEXT_IS = {
    MatrixAction.DELIVER: "delivered",
    MatrixAction.TAG: "delivered with a mark",
    MatrixAction.HOLD: "held",
    MatrixAction.REJECT: "rejected",
    MatrixAction.DEFER: "put off",
}


def _gateway_words(judged: Judged) -> Iterator[str]:
    yield (
        f"The next mail like it would be {_NEXT_IS[MatrixAction(judged.action)]}:"
        f" {judged.rule or 'no rule says otherwise'}."
    )
    if judged.entry.get("by") == "block":
        yield "No exception beats a block entry: remove that entry if it is wrong."
