"""Reading mail: hostile bytes in, plain facts out.  No Django here; every process may import it.

``read_mail`` reads in this process, ``incidents.mail.reader.MailReader`` in one that can be
killed.
"""

from incidents.mail.facts import Address, Attachment, AuthResult, Hop, Link, MailFacts
from incidents.mail.read import read_mail

__all__ = ["Address", "Attachment", "AuthResult", "Hop", "Link", "MailFacts", "read_mail"]
