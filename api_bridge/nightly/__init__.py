"""Once a night every folder of a mailbox is read by what changed in it, whatever its date.

The list by time of receipt never shows a mail that somebody put into a mailbox with an old date.
``work.py`` says whose turn it is, ``reading.py`` stores what a page of a folder showed.
"""
