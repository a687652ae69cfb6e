"""A Dovecot to try the IMAP connection with: ``make dovecot``, until Ctrl-C.

It has a mailbox for every address (password ``secret``), takes mail by LMTP, and vouches for itself
with an authority of its own.
"""

from __future__ import annotations

import os
import signal

import django

IMAPS_PORT, LMTP_PORT = 8993, 8024


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    from tests.api_bridge.imap.server import MASTER, MASTER_PASSWORD, ImapServer

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = ImapServer()
    server.imaps_port = int(os.environ.get("IMAPS_PORT", IMAPS_PORT))
    server.lmtp_port = int(os.environ.get("LMTP_PORT", LMTP_PORT))
    try:
        server.start()
        print(f"IMAP with TLS   localhost:{server.imaps_port}")
        print(f"Mail by LMTP    127.0.0.1:{server.lmtp_port}, for any address")
        print(f"Master user     {MASTER}, password: {MASTER_PASSWORD}")
        print(f"Its authority   {server.ca}")
        reached = (f"{host}:{server.imaps_port}" for host in (server.host, "127.0.0.1", "[::1]"))
        print("Let Bailey out  BAILEY_OUTGOING_HOSTS=" + ",".join(reached))
        print("Ctrl-C ends it and deletes its mail.", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print()
    finally:
        server.remove()


if __name__ == "__main__":
    main()
