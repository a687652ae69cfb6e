"""The parts in the order in which they start; they stop the other way round."""

from __future__ import annotations

from console.gateway_parts import Part
from console.gateway_parts.postfix import PostfixPart

PARTS: tuple[Part, ...] = (PostfixPart(),)
