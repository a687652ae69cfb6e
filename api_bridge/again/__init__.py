"""Mail that was delivered as harmless is judged again for 72 hours, as far as more is known of it.

``due``: when which mail is looked at again.  ``known_since``: what became known since it was
judged, from stored facts alone.  ``work``: the worker's side.
"""
