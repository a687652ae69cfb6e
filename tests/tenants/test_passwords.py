"""What an installation's passwords are hashed with; the tests' own are hashed at less cost."""

import pytest
from django.contrib.auth.hashers import check_password, make_password

from tenants.auth import PersonBackend
from tests.factories import PASSWORD, Cast
from tests.quick_hashes import OF_INSTALLATIONS


def test_a_password_is_hashed_at_the_cost_that_argon2_is_given_by_django(settings):
    settings.PASSWORD_HASHERS = list(OF_INSTALLATIONS)
    kept = make_password(PASSWORD)

    # 100 MB, twice, by eight.
    assert kept.startswith("argon2$argon2id$v=19$m=102400,t=2,p=8$")
    assert check_password(PASSWORD, kept)
    assert not check_password(PASSWORD + "x", kept)


@pytest.mark.parametrize("of", ["installation", "tests"])
def test_the_tests_hashes_are_read_like_an_installations(settings, of):
    quick = make_password(PASSWORD)
    if of == "installation":
        settings.PASSWORD_HASHERS = list(OF_INSTALLATIONS)

    assert quick.startswith("argon2$argon2id$v=19$m=8,t=1,p=1$")
    assert check_password(PASSWORD, quick)
    assert not check_password(PASSWORD + "x", quick)


def test_a_hash_of_another_cost_still_lets_its_owner_in(settings, cast: Cast):
    """As after an upgrade of Django, which then asks for a new hash."""
    settings.PASSWORD_HASHERS = list(OF_INSTALLATIONS)
    backend = PersonBackend()

    assert backend.authenticate(None, email=cast.ana.email, password=PASSWORD) == cast.ana
    assert backend.authenticate(None, email=cast.ana.email, password=PASSWORD + "x") is None
