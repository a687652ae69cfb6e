"""Links: where they lead, who wrapped them, how they are written down."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from incidents.mail import read_mail
from incidents.mail.links import defang, make_link, unwrap
from incidents.mail.urls import ascii_host, registered_domain, split_url
from tests.incidents.mail.mails import mail_with, plain_mail

TARGET = "https://www.target.example/path/to?a=1&b=two%20words"
CODED = quote(TARGET, safe="")


@pytest.mark.parametrize(
    ("wrapped", "rewriter"),
    [
        (
            f"https://eur03.safelinks.protection.outlook.com/?url={CODED}&data=05%7C02&reserved=0",
            "safelinks",
        ),
        (
            f"https://eur03.safelinks.protection.outlook.com/ap/b-1/?url={CODED}&amp;data=05",
            "safelinks",
        ),
        (
            "https://urldefense.proofpoint.com/v2/url?u=https-3A__www.target.example_path_to-3F"
            "a-3D1-26b-3Dtwo-2520words&d=DwMFaQ&c=x&r=y&m=z&s=w&e=",
            "urldefense",
        ),
        (f"https://urldefense.proofpoint.com/v1/url?u={CODED}&k=x", "urldefense"),
        (
            "https://urldefense.com/v3/__https://www.target.example/path/to?a=1*b=two*20words__"
            ";JiU!!Abc!def$",
            "urldefense_v3",
        ),
        (f"https://linkprotect.cudasvc.com/url?a={CODED}&c=E,1,x&typo=1", "barracuda"),
        (f"https://secure-web.cisco.com/1aBc-D_e/{CODED}", "cisco"),
        (
            "https://eu-west-1.protection.sophos.com/?d=target.example&u=aHR0cHM6Ly93d3cudGFyZ2V0Lm"
            "V4YW1wbGUvcGF0aC90bz9hPTEmYj10d28lMjB3b3Jkcw==&i=x&t=y",
            "sophos",
        ),
        (
            f"https://ca-1234.ctp.trendmicro.com:443/wis/clicktime/v1/query?url={CODED}&umid=1",
            "trendmicro",
        ),
        (f"https://protect2.fireeye.com/v1/url?k=1&q=1&e=2&u={CODED}", "trellix"),
        (f"https://clicktime.symantec.com/15siKz?h=abc=&u={CODED}", "symantec"),
        (f"https://url.avanan.click/v2/___{TARGET}___.YXAzOnhiYWw6", "checkpoint"),
        (f"https://protect.checkpoint.com/v2/___{TARGET}___.YXAzOnhiYWw6", "checkpoint"),
        (f"https://link.edgepilot.com/s/abc/XYZ?u={CODED}", "edgepilot"),
        (f"https://www.google.com/url?q={CODED}&sa=D&source=docs", "google"),
        (f"https://www.google.co.uk/url?sa=t&url={CODED}", "google"),
        (f"https://l.facebook.com/l.php?u={CODED}&h=AT0", "facebook"),
        (f"https://www.linkedin.com/safety/go?url={CODED}&trk=x", "linkedin"),
        (f"https://www.youtube.com/redirect?event=x&q={CODED}", "youtube"),
        (f"https://slack-redir.net/link?url={CODED}", "slack"),
        (f"https://mail.acme.example/owa/redir.aspx?C=1&URL={CODED}", "outlook_web"),
    ],
)
def test_what_a_service_wrapped_is_undone(wrapped, rewriter):
    assert unwrap(wrapped) == (TARGET, rewriter)


def test_a_service_that_names_only_the_host_is_undone_to_the_host():
    wrapped = "https://protect-eu.mimecast.com/s/AbCdE?domain=target.example"
    assert unwrap(wrapped) == ("https://target.example/", "mimecast")


def test_wrappings_in_wrappings_are_undone_and_the_outermost_named():
    inner = f"https://secure-web.cisco.com/1aBc/{CODED}"
    outer = f"https://eur.safelinks.protection.outlook.com/?url={quote(inner, safe='')}&data=1"
    assert unwrap(outer) == (TARGET, "safelinks")


def test_a_run_in_the_third_url_defense_is_put_back():
    wrapped = "https://urldefense.com/v3/__https://a.example/**C__;Pz0mJg!!x$"
    assert unwrap(wrapped)[0] == "https://a.example/?=&&"


@pytest.mark.parametrize(
    "url",
    [
        "https://plain.example/?url=https://other.example/",
        "https://safelinks.protection.outlook.com.evil.example/?url=https%3A%2F%2Fa.example",
        "https://notgoogle.com/url?q=https://a.example",
        "https://www.google.com/search?q=https://a.example",
        "https://urldefense.com/v3/broken",
        "https://eu.protection.sophos.com/?d=a.example&u=!!!",
        "https://eur.safelinks.protection.outlook.com/?url=javascript%3Aalert(1)",
        "",
        "https://",
    ],
)
def test_what_no_known_service_wrapped_stays(url):
    assert unwrap(url) == (url, "")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://A.Example/x", "a.example"),
        ("https://user:pass@evil.example/x", "evil.example"),
        ("https://bank.example@evil.example", "evil.example"),
        ("https://evil.example\\@bank.example/x", "evil.example"),
        ("https:evil.example/x", "evil.example"),
        ("https:\\\\evil.example\\x", "evil.example"),
        ("ht\ntps://evil.example", "evil.example"),
        ("https://evil。example", "evil.example"),
        ("https://b\u200bank.example", "bank.example"),
        ("https://bücher.example", "xn--bcher-kva.example"),
        ("https://%65vil.example", "evil.example"),
        ("http://2130706433/", "127.0.0.1"),
        ("http://0x7f.1/", "127.0.0.1"),
        ("http://0177.0.0.01/", "127.0.0.1"),
        ("http://[2001:DB8::1]:8080/", "2001:db8::1"),
        ("https://evil.example:8443/x", "evil.example"),
        ("www.evil.example/x", "www.evil.example"),
        ("evil.example:8080/x", "evil.example"),
        ("https://evil.example.", "evil.example"),
        ("http://999.1.2.3.4.5/", "999.1.2.3.4.5"),
        ("https://a b.example/", ""),
        ("mailto:a@b.example", ""),
        ("javascript:alert(1)", ""),
        ("http://[::1", "::1"),
    ],
)
def test_hosts_are_read_as_a_browser_reads_them(url, host):
    assert split_url(url).host == host


def test_registered_domains_follow_the_public_suffix_list():
    assert registered_domain("a.b.example.co.uk") == "example.co.uk"
    assert registered_domain("login.tenant.github.io") == "tenant.github.io"
    assert registered_domain("127.0.0.1") == ""
    assert registered_domain("") == ""


def test_a_host_that_idna_refuses_is_still_one_host():
    assert ascii_host("☃️.example").startswith("xn--")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://evil.example/x?y=1", "hxxps://evil[.]example/x?y=1"),
        ("http://user:pw@evil.example:81/", "hxxp://…@evil[.]example[:]81/"),
        ("javascript:alert(1)", "javascript[:]alert(1)"),
        ("ftp://a.example", "fxp://a[.]example"),
        ("https://bücher.example/", "hxxps://xn--bcher-kva[.]example/"),
    ],
)
def test_a_defanged_link_is_to_be_read_only(url, shown):
    assert defang(url) == shown


def test_links_of_a_mail_say_where_they_stand():
    facts = read_mail(
        mail_with(
            text="Plain: https://text.example/a.",
            html=(
                '<base href="https://base.example/dir/"><a href="https://html.example/b">here</a>'
                '<a href="relative">r</a><form action="https://form.example/c"></form>'
                '<a href="mailto:x@y.example">m</a><a href="#top">t</a><a href="tel:1">c</a>'
                '<meta http-equiv="refresh" content="0; url=https://refresh.example/">'
            ),
            page_html=b'<a href="https://attached.example/d">x</a>',
        )
    )
    assert {(link.url, link.where) for link in facts.links} == {
        ("https://text.example/a", "text"),
        ("https://html.example/b", "html"),
        ("https://base.example/dir/relative", "html"),
        ("https://form.example/c", "form"),
        ("https://refresh.example/", "html"),
        ("https://attached.example/d", "attachment"),
    }


def test_a_link_keeps_what_was_written_and_what_is_read():
    wrapped = f"https://eur.safelinks.protection.outlook.com/?url={CODED}&data=1"
    (link,) = read_mail(mail_with(html=f'<a href="{wrapped}">www.bank.example</a>')).links[:1]
    assert (link.url, link.seen, link.text) == (TARGET, wrapped, "www.bank.example")
    assert (link.host, link.domain, link.rewriter) == (
        "www.target.example",
        "target.example",
        "safelinks",
    )


def test_links_in_text_end_before_the_punctuation():
    text = (
        "See (https://a.example/x), https://b.example/y_(z)! or www.c.example. <https://d.example>"
    )
    assert [link.url for link in read_mail(plain_mail(text)).links] == [
        "https://a.example/x",
        "https://b.example/y_(z)",
        "http://www.c.example",
        "https://d.example",
    ]


@pytest.mark.parametrize("href", ["javascript:alert(1)", "data:text/html,x", "search-ms:query=x"])
def test_active_targets_without_a_host_are_links(href):
    link = make_link(href)
    assert link is not None
    assert link.host == ""
