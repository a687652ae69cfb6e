"""Mail that a client sends: who may submit it, how much of it, what happens to it.

``terms``     what the policy snapshot says of one client's outbound mail
``logins``    secrets of submission logins, as salted hashes
``session``   the SMTP conversation of the submission listener
``decide``    what happens with a mail by its verdict
``core``      one mail from its last byte to our answer
``dkim``      signing in the client's name
``usage``     how much each mailbox has sent
``watch``     stopping a sender, durably, and lifting the stop
"""
