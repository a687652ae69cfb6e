"""Lines as Postfix 3.7 writes them."""

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
AT = "Nov 22 12:00:00"


def line(program: str, text: str, at: str = AT) -> str:
    return f"{at} mx1 postfix/{program}[4711]: {text}\n"


def traced(queue_id: str, ulid: str = ULID, tenant: int = 1, *, apart: bool = False) -> str:
    kind = "info" if apart else "milter-header-info"
    return line(
        "cleanup",
        f"{queue_id}: {kind}: header X-Bailey-Trace: v1; k=k1; t={tenant}; u={ulid}; from "
        "mail.sender.example[203.0.113.9]; from=<ann@sender.example> to=<info@acme.example> "
        f"proto=ESMTP helo=<mail.sender.example>: bailey t={tenant} u={ulid}",
    )


def attempt(queue_id: str, status: str, dsn: str, reply: str, at: str, to: str) -> str:
    return line(
        "smtp",
        f"{queue_id}: to=<{to}>, relay=mail.acme.example[192.0.2.1]:25, conn_use=2, delay=0.15, "
        f"delays=0.06/0.08/0/0.01, dsn={dsn}, status={status} ({reply})",
        at,
    )


def sent(queue_id: str, at: str = "Nov 22 12:00:01", to: str = "info@acme.example") -> str:
    return attempt(queue_id, "sent", "2.0.0", "250 2.0.0 Ok (taken)", at, to)


def deferred(queue_id: str, at: str = "Nov 22 12:00:01", to: str = "info@acme.example") -> str:
    reply = "connect to mail.acme.example[192.0.2.1]:25: Connection refused"
    return attempt(queue_id, "deferred", "4.4.1", reply, at, to)


def bounced(queue_id: str, at: str = "Nov 22 12:00:01", to: str = "info@acme.example") -> str:
    reply = "host mail.acme.example[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO)"
    return attempt(queue_id, "bounced", "5.1.1", reply, at, to)


def removed(queue_id: str, at: str = "Nov 22 12:00:02") -> str:
    return line("qmgr", f"{queue_id}: removed", at)
