"""What Postfix says of addresses, and our answer to a whole mail in its words (milter_wire.py)."""

from __future__ import annotations

from seg_bridge.gate import milter_wire as wire
from seg_bridge.gate.queueing import Answer


def answer_packets(answer: Answer, given: dict[str, list[bytes]]) -> bytes:
    """``given``: the recipients as Postfix knows them."""
    if answer.reply:
        return wire.reply(answer.reply)
    if answer.is_discarded:
        return wire.DISCARD
    edits = answer.edits
    packets = [
        wire.remove_recipient(written) for address in answer.removed for written in given[address]
    ]
    packets += [wire.change_header(number, name, b"") for number, name in edits.taken_out]
    if edits.subject is not None:
        packets.append(wire.change_header(*edits.subject))
    packets += [wire.insert_header(0, name, value) for name, value in reversed(edits.on_top)]
    return b"".join((*packets, wire.CONTINUE))


def words_of(data: bytes) -> list[str]:
    found = [each.decode("utf-8", "surrogateescape") for each in wire.strings(data)]
    if not found:
        raise wire.BadPacket("a command without its address")
    return found


def first_of(data: bytes) -> str:
    return words_of(data)[0] if data else ""


def address_in(data: bytes) -> str:
    """The address of MAIL or RCPT."""
    return without_brackets(first_of(data))


def without_brackets(path: str) -> str:
    return path.removeprefix("<").removesuffix(">")
