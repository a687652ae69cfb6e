"""Google Workspace's side of the sandbox: tokens, Gmail, Directory, Pub/Sub, Alert Center.

The same people and mails as on Graph's side; labels are folders and marks seen Gmail's way.
"""
