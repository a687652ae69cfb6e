"""Limits of reading a mail, and the codes that say one was crossed.

The numbers come from measurements of what real mail needs and of what hostile mail does to
parsers.  Crossing one never stops the mail: the code goes into ``MailFacts.problems``, what was
read so far is kept, and the policy decides.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes unless the name says characters."""

    raw_bytes: int = 50 * 1024 * 1024
    depth: int = 50
    parts: int = 1_000
    headers: int = 1_000
    header_bytes: int = 64 * 1024
    all_headers_bytes: int = 512 * 1024
    part_headers_bytes: int = 4 * 1024 * 1024
    dash_lines: int = 500_000
    addresses: int = 1_000
    hops: int = 100
    links: int = 1_000
    attachments: int = 200
    text_characters: int = 256 * 1024
    html_characters: int = 1024 * 1024
    html_tags: int = 60_000
    html_depth: int = 4_000
    header_value_characters: int = 4_096
    url_characters: int = 4_096
    name_characters: int = 255
    archive_depth: int = 3
    archive_entries: int = 10_000
    archive_bytes: int = 1024 * 1024 * 1024
    archive_ratio: int = 100
    archive_names_kept: int = 100
    inspect_bytes: int = 8 * 1024 * 1024
    message_bytes: int = 100 * 1024 * 1024


LIMITS = Limits()

# A mail with one of these was not read to its end: engines may hold it to be unscannable.
CROSSED = frozenset(
    {
        "parser_killed",
        "parser_failed",
        "out_of_memory",
        "mail_too_big",
        "too_deep",
        "too_many_parts",
        "too_many_headers",
        "header_too_long",
        "headers_too_long",
        "too_many_addresses",
        "too_many_links",
        "too_many_attachments",
        "html_too_big",
        "html_too_deep",
        "text_cut",
    }
)

# Defects that real mail has too: facts for a detector, no reason to stop.
DEFECTS = frozenset(
    {
        "empty",
        "ambiguous_sender",
        "no_from",
        "no_blank_line",
        "broken_header_line",
        "bare_cr",
        "nul_in_headers",
        "duplicate_header",
        "no_boundary",
        "boundary_not_found",
        "duplicate_boundary",
        "boundary_not_closed",
        "parts_after_end",
        "broken_base64",
        "unknown_encoding",
        "unknown_charset",
        "hidden_text",
    }
)
