"""Ids that sort by the time they were made, so that indexes grow at one end."""

from uuid import UUID

from ulid import ULID


def new_id() -> UUID:
    return ULID().to_uuid()


def as_uuid(value: object) -> UUID | None:
    """The id in this text, None where it is none."""
    try:
        return UUID(str(value))
    except ValueError:
        return None
