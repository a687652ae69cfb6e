"""Small mails for the tests of the mail library."""

from __future__ import annotations

from email.message import EmailMessage


def plain_mail(
    body: str = "Hello Bob,\r\nshall we meet on Tuesday at ten?\r\n", **headers: str
) -> bytes:
    """A plain mail with CRLF; ``reply_to="…"`` becomes Reply-To."""
    fields = {
        "From": "Alice Example <alice@sender.example>",
        "To": "bob@acme.example",
        "Subject": "Tuesday",
        "Message-ID": "<1@sender.example>",
        "Date": "Mon, 02 Nov 2026 10:00:00 +0100",
    }
    fields |= {name.replace("_", "-").title(): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return (head + "\r\n" + body).encode()


def mail_with(
    *,
    text: str = "",
    html: str = "",
    cte: str = "quoted-printable",
    files: dict[str, bytes] | None = None,
    **attachments: bytes,
) -> bytes:
    """A mail made by the standard library.

    An attachment ``invoice_pdf=…`` is invoice.pdf; so is ``files={"invoice_pdf": …}``.
    """
    mail = EmailMessage()
    mail["From"], mail["To"] = "Alice <alice@sender.example>", "bob@acme.example"
    mail["Subject"], mail["Message-ID"] = "The invoice", "<2@sender.example>"
    if text:
        mail.set_content(text, cte=cte)
    if html and text:
        mail.add_alternative(html, subtype="html", cte=cte)
    elif html:
        mail.set_content(html, subtype="html", cte=cte)
    for name, content in (attachments | (files or {})).items():
        stem, _, extension = name.rpartition("_")
        mail.add_attachment(
            content, maintype="application", subtype="octet-stream", filename=f"{stem}.{extension}"
        )
    return mail.as_bytes()
