"""The demo's fixed facts: clients with their mailboxes, the provider's people, senders."""

from __future__ import annotations

from dataclasses import dataclass

PROVIDER = ("keep", "Keep IT Services")
HELP_DESK = "help@keep.example"
GATE_AUTHSERV_ID = "gate.bailey.example"


@dataclass(frozen=True, slots=True)
class Box:
    local: str
    name: str
    title: str = ""
    is_vip: bool = False


@dataclass(frozen=True, slots=True)
class Contact:
    name: str
    phone: str
    email: str
    hours: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class ClientFacts:
    slug: str
    name: str
    cloud_id: str
    client_id: str
    contact: Contact
    boxes: tuple[Box, ...]

    @property
    def report_address(self) -> str:
        return self.address(REPORT_BOX.local)

    @property
    def domain(self) -> str:
        return f"{self.slug}.example"

    def box(self, local: str) -> Box:
        return next(box for box in self.boxes if box.local == local)

    def address(self, local: str) -> str:
        return f"{local}@{self.domain}"


def _boxes(ceo: str, cfo: str, it: str, people: tuple[tuple[str, str], ...]) -> tuple[Box, ...]:
    named = tuple(Box(name.split()[0].lower(), name, title) for name, title in people)
    return (
        Box("info", "Reception"),
        Box("ceo", ceo, "Chief Executive Officer", is_vip=True),
        Box("cfo", cfo, "Chief Financial Officer", is_vip=True),
        Box("it", it, "IT Manager"),
        Box("accounting", "Accounts Payable", "Accounting"),
        Box("hr", "Human Resources", "HR"),
        Box("sales", "Sales Team", "Sales"),
        *named,
    )


# Of each client: what its people report comes there, and nothing else.
REPORT_BOX = Box("report", "Reported mail")
# Of each client's directory.
GROUPS = (("Board", ("ceo", "cfo")), ("Back office", ("accounting", "hr", "it")))
CLIENTS = (
    ClientFacts(
        "acme",
        "Acme",
        "0a11ce00-0000-4000-8000-00000000acfe",
        "0a11ce00-0000-4000-8000-0000000000a1",
        Contact(
            "Irma Toft",
            "+45 70 00 00 01",
            "irma@acme.example",
            "Mon to Fri, 8 to 16",
            "Europe/Copenhagen",
        ),
        _boxes(
            "Viggo Lund",
            "Karla Berg",
            "Irma Toft",
            (
                ("Jonas Friis", "Project Manager"),
                ("Sofie Dahl", "Buyer"),
                ("Malte Krogh", "Engineer"),
            ),
        ),
    ),
    ClientFacts(
        "globex",
        "Globex",
        "610be500-0000-4000-8000-000000610bef",
        "610be500-0000-4000-8000-0000000000b2",
        Contact(
            "Dora Klein",
            "+49 30 0000 02",
            "dora@globex.example",
            "Mon to Fri, 9 to 17",
            "Europe/Berlin",
        ),
        _boxes(
            "Hannes Vogt",
            "Petra Sommer",
            "Dora Klein",
            (
                ("Lukas Braun", "Logistics"),
                ("Emma Richter", "Legal Counsel"),
                ("Nils Haas", "Engineer"),
            ),
        ),
    ),
    ClientFacts(
        "initech",
        "Initech",
        "1717ec00-0000-4000-8000-0000001717ec",
        "1717ec00-0000-4000-8000-0000000000c3",
        Contact(
            "Peter Gibb",
            "+1 512 000 0003",
            "peter@initech.example",
            "Mon to Fri, 9 to 17",
            "America/Chicago",
        ),
        _boxes(
            "Martha Wells",
            "Dale Cooper",
            "Peter Gibb",
            (
                ("Joan Weir", "Operations"),
                ("Milton Ray", "Archivist"),
                ("Anne Holt", "Analyst"),
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Company:
    """A cloud tenant in the sandbox that is no client."""

    name: str
    domain: str
    cloud_id: str
    people: tuple[tuple[str, str], ...]


# The provider's own tenant, and a company whose onboarding can be tried.
HOME = Company(
    PROVIDER[1],
    "keep.example",
    "0cee9000-0000-4000-8000-00000000cee9",
    (("mo", "Mo"),),
)
NEWCOMER = Company(
    "Hooli",
    "hooli.example",
    "400115e0-0000-4000-8000-0000000400c1",
    (("gavin", "Gavin Belson"), ("jack", "Jack Barker"), ("accounting", "Accounting")),
)
# The same, with Google Workspace; the first of its people administers it.
GOOGLE_NEWCOMER = Company(
    "Raviga",
    "raviga.example",
    "7a71ca00-0000-4000-8000-0000007a71ca",
    (("laurie", "Laurie Bream"), ("monica", "Monica Hall"), ("finance", "Finance")),
)
GOOGLE_CUSTOMER = "C07a71ca0"
# The provider's applications there, by purpose (api_bridge/access/models.py).
APPLICATIONS = {
    "detect": "ba11e700-0000-4000-8000-000000000001",
    "remediate": "ba11e700-0000-4000-8000-000000000002",
    "respond": "ba11e700-0000-4000-8000-000000000003",
    "partner": "ba11e700-0000-4000-8000-000000000004",
}
# Security Administrator, Global Reader.
RELATIONSHIP_ROLES = (
    "194ae4cb-b126-40b2-bd5b-6091b380977d",
    "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
)


@dataclass(frozen=True, slots=True)
class Helper:
    """A person of the cast.  ``clients``: whose analyst, or whose reader, she is."""

    name: str
    email: str
    role: str
    clients: tuple[str, ...] = ()


CAST = (
    Helper("Mo", "mo@keep.example", "lead"),
    Helper("Ana", "ana@keep.example", "analyst", ("acme", "globex")),
    Helper("Bo", "bo@keep.example", "analyst", ("acme",)),
    Helper("Pia", "pia@acme.example", "client_reader", ("acme",)),
    Helper("Gus", "gus@globex.example", "client_reader", ("globex",)),
)


LEAD, ANALYST = CAST[0].email, CAST[1].email


@dataclass(frozen=True, slots=True)
class Sender:
    """A domain outside with its one mail host.  ``spf``/``dmarc`` "" mean no such record."""

    domain: str
    ip: str
    spf: str = "v=spf1 ip4:{ip} -all"
    dmarc: str = "v=DMARC1; p=reject"

    def records(self) -> list[dict[str, str]]:
        found = [
            {"name": self.domain, "type": "A", "value": self.ip},
            {"name": self.domain, "type": "MX", "value": f"10 mail.{self.domain}"},
            {"name": f"mail.{self.domain}", "type": "A", "value": self.ip},
        ]
        if self.spf:
            found.append({"name": self.domain, "type": "TXT", "value": self.spf.format(ip=self.ip)})
        if self.dmarc:
            found.append({"name": f"_dmarc.{self.domain}", "type": "TXT", "value": self.dmarc})
        return found


PARTNERS = (
    Sender("nordvent.example", "192.0.2.10"),
    Sender("hafenlogistik.example", "192.0.2.11"),
    Sender("brightpaper.example", "192.0.2.12"),
    Sender("okdesign.example", "192.0.2.13"),
)
NEWSLETTERS = (
    Sender("news.tradeweekly.example", "192.0.2.30"),
    Sender("mail.cloudtools.example", "192.0.2.31"),
)
# Real domains with real records whose owner has lost control of a mailbox.
HIJACKED = Sender("sunnyvale-dental.example", "192.0.2.50")
# Anybody can have an address there.
FREE_MAILER = Sender("gmail.com", "192.0.2.60", spf="", dmarc="")
# To whom spam goes in a client's name.
SPAMMED = tuple(
    f"{name}.example" for name in ("kranbau", "malerbo", "vvs-nord", "hotel-fjord", "byg-ost")
)
LOOKALIKE = Sender("acrne.example", "198.51.100.7")
VENDOR_LOOKALIKE = Sender("hafen-logistik.example", "198.51.100.8")
# Both write malware: one hands it straight to the mail host, the other locks it up.
MALWARE_SENDERS = (
    Sender("roth-lindner.example", "198.51.100.62"),
    Sender("tradelist.example", "198.51.100.63"),
)
# Sells entries in a register that nobody reads.
REGISTER = Sender("registerdata.example", "198.51.100.64")
SPAMMERS = (
    Sender("best-deals-now.example", "198.51.100.40", dmarc=""),
    Sender("seo-growth.example", "198.51.100.41", spf="", dmarc=""),
)
PHISHERS = (
    Sender("secure-mailbox-alerts.example", "198.51.100.60", dmarc=""),
    Sender("parcel-status.example", "198.51.100.61", spf="", dmarc=""),
)
SENDERS = (
    *PARTNERS,
    *NEWSLETTERS,
    HIJACKED,
    FREE_MAILER,
    LOOKALIKE,
    VENDOR_LOOKALIKE,
    *MALWARE_SENDERS,
    REGISTER,
    *SPAMMERS,
    *PHISHERS,
)
