from console.gateway_parts import Part, clamav, rspamd
from console.gateway_parts.postfix import PostfixPart

PARTS: tuple[Part, ...] = (PostfixPart(), rspamd.PART, clamav.PART)
