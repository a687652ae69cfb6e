"""What a client's people read is there in every language that Bailey offers, whole and in step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from django.conf import settings
from django.core import mail as sent
from django.test import Client
from django.utils import timezone, translation

from incidents.client_words import refuse_release
from seg_bridge.held.asked import send_digest_now
from seg_bridge.held.requests import serve_requests
from seg_bridge.models import PolicyLayer
from seg_bridge.policies.keys import LANGUAGE_WORDS
from tenants.models import Mailbox, Tenant
from tenants.outbox import serve_outbox
from tests import catalogues
from tests.factories import Cast, state_policy
from tests.seg_bridge.conftest import make_gate
from tests.seg_bridge.test_digest import digest_link, links_in
from tests.seg_bridge.test_requests import claimed, hold, nobody_could_look, scope, wish

LANGUAGES = pytest.mark.parametrize("language", list(catalogues.LANGUAGES))
_NAMED = re.compile(r"%\(\w+\)[sd]")


def strings(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or ())


def ids(message: Message) -> list[str]:
    return [message.id] if isinstance(message.id, str) else list(message.id)


def mistakes_of(catalog: Catalog, wanted: Catalog) -> Iterator[str]:
    known = {each.id: each for each in catalog if each.id}
    for each in wanted:
        if not each.id:
            continue
        there = known.get(each.id)
        if there is None or not all(strings(there)) or not strings(there):
            yield f"not translated: {each.id}"
            continue
        if there.fuzzy:
            yield f"nobody has looked at it: {each.id}"
        placeholders = {tuple(sorted(_NAMED.findall(text))) for text in ids(each)}
        # A singular may say "one" instead of the number.
        most = max(placeholders, key=len)
        for text in strings(there):
            found = tuple(sorted(_NAMED.findall(text)))
            if found != most and found not in placeholders:
                yield f"other placeholders than in English: {text}"
    for key in known.keys() - {each.id for each in wanted}:
        yield f"nowhere in the code: {key}"


@LANGUAGES
def test_every_marked_text_is_translated_with_its_placeholders(language: str):
    found = list(mistakes_of(catalogues.read(language), catalogues.template_of()))
    assert not found, "\n".join(found) + "\nSee tests/catalogues.py."


def test_a_gap_in_a_catalogue_is_found():
    wanted, there = Catalog(fuzzy=False), Catalog(locale="de", fuzzy=False)
    wanted.add("Hello %(name)s,")
    assert list(mistakes_of(there, wanted)) == ["not translated: Hello %(name)s,"]
    there.add("Hello %(name)s,", "Guten Tag,")
    assert list(mistakes_of(there, wanted)) == ["other placeholders than in English: Guten Tag,"]
    there.add("Gone", "Fort")
    assert "nowhere in the code: Gone" in list(mistakes_of(there, wanted))


@LANGUAGES
def test_what_is_read_at_run_time_is_compiled_from_the_catalogue(language: str):
    folder = catalogues.LOCALE / language / "LC_MESSAGES"
    catalog = catalogues.read(language)
    assert (folder / "django.mo").read_bytes() == catalogues.mo_bytes(catalog)


def test_languages_are_the_same_in_settings_policy_and_catalogues():
    offered = [code for code, _ in settings.LANGUAGES]
    assert offered == list(LANGUAGE_WORDS) == ["en", *catalogues.LANGUAGES]


# --- nothing is left unmarked

_NOT_READ = re.compile(
    r"\{#.*?#\}|\{% comment %\}.*?\{% endcomment %\}|<!doctype html>|<script.*?</script>"
    r"|\{% blocktranslate.*?\{% endblocktranslate %\}"
    # Attributes of <body>.
    r"|\{% block (?:body_class|live) %\}.*?\{% endblock %\}",
    re.DOTALL,
)
_SAID_IN_TAGS = re.compile(
    r"""\s(?:aria-label|title|placeholder|alt)="([^"{]*[A-Za-z]{2}[^"{]*)\""""
    r"""|(?:\s(?:text|title|label|shown)=|\|default:|\|yesno:)"([^"{]*[A-Za-z]{2}[^"{]*)\""""
)
_TAG, _TEMPLATE = re.compile(r"<[^>]*>"), re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
# Names, and keys of a keyboard.
_SAME_EVERYWHERE = {"Bailey", "Enter", "PDF", "CSV"}


def unmarked(source: str) -> list[str]:
    source = _NOT_READ.sub("", source)
    found = ["".join(each) for each in _SAID_IN_TAGS.findall(source)]
    rest = _TAG.sub("\n", _TEMPLATE.sub("\n", source))
    found += [line.strip() for line in rest.split("\n") if re.search(r"[A-Za-z]{2}", line)]
    said = [text for text in found if not text.startswith("/")]  # the rest of an address
    return [text for text in said if text.strip(" ·") not in _SAME_EVERYWHERE]


@pytest.mark.parametrize(
    "name",
    [str(path.relative_to(catalogues.ROOT)) for path in catalogues.files(catalogues.TEMPLATES)],
)
def test_no_text_of_a_template_is_unmarked(name: str):
    assert unmarked((catalogues.ROOT / name).read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>Hello</p>", ["Hello"]),
        ('<p>{% translate "Hello" %}</p>', []),
        ('<a aria-label="Close"></a>', ["Close"]),
        ('{% include "_components/empty.html" with text="Nothing" only %}', ["Nothing"]),
        ('{% include "_components/empty.html" with text=_("Nothing") only %}', []),
        ('{{ subject|default:"(none)" }}', ["(none)"]),
        ("{% if a %}yes{% else %}-{% endif %}", ["yes"]),
    ],
)
def test_the_search_for_unmarked_text_finds_it(source: str, found: list[str]):
    assert unmarked(source) == found


# --- in use


@pytest.fixture(autouse=True)
def _portal(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.ROOT_URLCONF = "console.urls_portal"


@pytest.fixture
def gated(cast: Cast) -> Cast:
    make_gate(cast, cast.acme)
    with scope(cast):
        state_policy(cast.acme, **{"digest.language": "de", "digest.zone": "Europe/Berlin"})
    return cast


def test_a_digest_is_in_the_clients_language_and_a_mailbox_may_have_its_own(gated: Cast):
    with scope(gated):
        PolicyLayer.objects.create(
            provider=gated.provider,
            tenant=gated.acme,
            level=PolicyLayer.Level.MAILBOX,
            mailbox=Mailbox.objects.get(address="ceo@acme.example"),
            stated={"digest.language": {"value": "fr"}},
            changed_by="Mo",
        )
    told: dict[str, Any] = {}
    for name in ("info", "ceo"):
        hold(gated, recipient=f"{name}@acme.example")
        with scope(gated):
            box = Mailbox.objects.get(address=f"{name}@acme.example")
            send_digest_now(mailbox=box, actor=gated.ana)
        serve_outbox(claimed(gated))
        told[name] = sent.outbox[-1]
    german, french = told["info"], told["ceo"]
    assert german.subject == "1 E-Mail wird für Sie zurückgehalten"
    assert french.subject == "1 e-mail est retenu pour vous"
    at = timezone.now() + timedelta(days=14)
    with translation.override("de"):
        assert "Sie müssen nichts tun" in german.body
        assert "Phishing, vom Gateway zurückgehalten" in german.body
        assert "(Europe/Berlin)" in german.body
        assert translation.gettext("j F Y") == "j. F Y"
        month = translation.gettext(f"{at:%B}")
    assert re.search(rf"bis zum \d+\. {month} \d{{4}}", german.body)
    assert '<html lang="fr">' in str(french.alternatives[0][0])
    assert "Hameçonnage, retenu par la passerelle" in french.body
    assert len(links_in(german)) == len(links_in(french)) == 1


def test_a_notice_is_in_the_language_and_zone_of_whom_it_goes_to(gated: Cast):
    copy = hold(gated, "spam")
    with scope(gated):
        Tenant.objects.filter(id=gated.acme.id).update(time_zone="Asia/Tokyo")
        state_policy(gated.acme, **{"digest.language": "fr", "release.spam": "nobody"})
        state = PolicyLayer.objects.get(level="client").stated
        state["held.requests"] = {"value": "manual"}
        PolicyLayer.objects.filter(level="client").update(stated=state)
    wish(gated, copy)
    serve_requests(claimed(gated), scanner=nobody_could_look)
    with scope(gated):
        refuse_release(delivery=copy, actor=gated.ana, reason="Faux expéditeur.")
    serve_outbox(claimed(gated))
    (mail,) = sent.outbox
    assert mail.subject == "L’e-mail que vous avez demandé reste retenu"
    assert "Bonjour Pia," in mail.body
    assert "Motif: Faux expéditeur." in mail.body
    assert "(Asia/Tokyo)" in mail.body


def test_the_page_of_a_link_speaks_as_the_browser_asks(gated: Cast):
    _, address = digest_link(gated)
    asked = {
        "de-CH,en;q=0.5": ("de", "Möchten Sie diese E-Mail erhalten?"),
        "fr": ("fr", "Souhaitez-vous recevoir cet e-mail ?"),
        "it": ("en", "Do you want this mail?"),
        "": ("en", "Do you want this mail?"),
    }
    for header, (language, words) in asked.items():
        page = Client(headers={"accept-language": header}).get(address)
        assert page["Content-Language"] == language, header
        assert "Accept-Language" in page["Vary"]
        assert f'lang="{language}"' in page.content.decode()
        assert words in page.content.decode(), header
    gone = Client(headers={"accept-language": "de"}).get("/portal/mail/x")
    assert "Dieser Link ist nicht mehr gültig" in gone.content.decode()


def test_the_portal_is_translated_and_the_console_is_not(gated: Cast, settings):
    hold(gated)
    client = Client(headers={"accept-language": "de"})
    client.force_login(gated.pia)
    for address, words in (
        ("/portal/", "Sie sind geschützt"),
        ("/portal/held", "Das Gateway hat diese E-Mails zurückgehalten"),
        ("/portal/access", "Niemand hat eine E-Mail geöffnet"),
        ("/portal/access/right", "Abbrechen"),
        ("/portal/reports", "Noch kein Bericht."),
        ("/portal/incidents", "Es wurde nichts geteilt"),
        ("/portal/held/digest", "Jetzt eine Übersicht senden?"),
    ):
        shown = client.get(address).content.decode()
        assert words in shown, address
        assert "Held mail" not in shown, address
    settings.ROOT_URLCONF = "console.urls"
    console = Client(headers={"accept-language": "de"})
    console.force_login(gated.ana)
    page = console.get("/console/held")
    assert '<html lang="en"' in page.content.decode()
    assert "Phishing" in page.content.decode()
    assert translation.get_language() == "en"
