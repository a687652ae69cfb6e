"""Static files are looked up once in a process of tests.

Every test client builds the middlewares anew, and WhiteNoise among them looks at each file: that
was half of the work of a test which asks for one page.  A server builds them once.
"""

from __future__ import annotations

from django.conf import settings
from whitenoise.middleware import WhiteNoiseMiddleware

_look_up = WhiteNoiseMiddleware.add_files_from_finders
_known: dict[tuple[str, ...], dict[str, object]] = {}


def _look_up_once(self: WhiteNoiseMiddleware) -> None:
    # Whatever the answer depends on.
    asked = (self.static_prefix, str(self.max_age), *map(str, settings.STATICFILES_DIRS))
    if asked not in _known:
        _look_up(self)
        _known[asked] = dict(self.files)
    self.files.update(_known[asked])


def use_once_looked_up() -> None:
    WhiteNoiseMiddleware.add_files_from_finders = _look_up_once
