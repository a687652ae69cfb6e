"""What a client's people report: read, matched with its original, answered (docs/user-reports.md).

``letter.py``   what the report itself says, from its facts; no database
``child.py``    the attached original, in the process that can be killed
``reading.py``  both together
``alerts.py``   reports that Google's Alert Center tells of
``taking.py``   a report becomes a row, once
``placing.py``  its original is found, the reporter's word goes through intake; serves ``reported``
``telling.py``  receipt and outcome
``herd.py``     several reporters of one incident: the client's rule, dry run first
``terms.py``    the client's terms
"""
