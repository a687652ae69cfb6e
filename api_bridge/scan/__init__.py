"""One item of a mailbox → what the mailbox layer says of it.  No database, no vendor call.

1. Read the mail (its MIME form, or one rebuilt from the list answer) in a child that can be killed.
2. How did it arrive: from inside, through the gateway with a genuine trace, or past it?
3. Authentication counts only as our own gate found it, and only with that trace.
4. Judge it, in the same child, with what is known around it; a harmless mail teaches who writes to
   whom.
5. What an entry for both layers lets be says so: it keeps its verdict, and nobody acts on it
   (incidents/allowed.py).

Sent mail is not judged: each internal copy is seen in its own mailbox, and what leaves the client
is the gateway's to judge.  It teaches whom the mailbox writes to, and tells what the mailbox
answered or passed on (incidents/answers.py).

``judging`` does it; ``arrival`` is 2 and 3, ``sent`` is sent mail, ``saying`` makes observations of
it all; ``shapes`` goes in and comes out.
"""
