"""Names and places that demo people are made of."""

from __future__ import annotations

import unicodedata

GIVEN = (
    "Amara", "Anna", "Björn", "Carlos", "Chloé", "Daniel", "Emily", "Fatima", "François", "Grace",
    "Hana", "Ibrahim", "Ingrid", "James", "Jürgen", "Kateřina", "Kofi", "Léa", "Liam", "Łukasz",
    "Maria", "Mateo", "Mei", "Nia", "Noah", "Olivia", "Priya", "Rahul", "Sofía", "Søren",
    "Thabo", "Thomas", "Tomás", "Uma", "Victor", "Wei", "Yara", "Yusuf", "Zoë", "Ángel",
)  # fmt: skip
FAMILY = (
    "Adeyemi", "Almeida", "Andersson", "Bauer", "Brown", "Chen", "Costa", "Dubois", "Evans", "Fernández",
    "García", "Großmann", "Haddad", "Hansen", "Ivanova", "Johnson", "Kim", "Kowalski", "Kumar", "Lefèvre",
    "Martin", "Mbeki", "Müller", "Nakamura", "Novák", "O'Brien", "Okafor", "Patel", "Petrović", "Quinn",
    "Rossi", "Sánchez", "Schäfer", "Silva", "Smith", "Tanaka", "Taylor", "Þórsdóttir", "Walker", "Yılmaz",
)  # fmt: skip
#: Names that are not written in Latin letters, each with the Latin form that its address uses.
OTHER_SCRIPTS = (
    ("山田 太郎", "taro.yamada"),
    ("Алексей Смирнов", "alexey.smirnov"),
    ("محمد العلي", "mohammed.alali"),
    ("김민준", "minjun.kim"),
    ("Ελένη Παπαδοπούλου", "eleni.papadopoulou"),
    ("अनन्या शर्मा", "ananya.sharma"),
)
DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "students.example.edu")
TIMEZONES = (
    "UTC", "America/New_York", "America/Los_Angeles", "Europe/Berlin", "Europe/London",
    "Asia/Kolkata", "Asia/Tokyo", "America/Sao_Paulo", "Africa/Lagos", "Australia/Sydney",
)  # fmt: skip
LANGUAGES = ("en", "en", "en", "en", "de", "fr", "es", "pt", "ja")
BIOS = (
    "Cloud engineer, two certifications in, three to go.",
    "Studying on the train. ☕ and flash cards.",
    "Moving from support to security.",
    "I run the platform team; here to keep up with them.",
    "Career changer, former teacher.",
    "Network administrator since 2009.",
)

_PLAIN = str.maketrans({"ø": "o", "ł": "l", "ß": "ss", "þ": "th", "ı": "i", "'": ""})


def latin(text: str) -> str:
    """The text in lower-case ASCII letters, as used in e-mail addresses."""
    folded = unicodedata.normalize("NFKD", text.lower()).translate(_PLAIN)
    return folded.encode("ascii", "ignore").decode()


def person(draw: int) -> tuple[str, str]:
    """A full name and its Latin form, chosen by a large random number."""
    if draw % 25 == 0:
        return OTHER_SCRIPTS[draw // 25 % len(OTHER_SCRIPTS)]
    given, family = GIVEN[draw // 25 % len(GIVEN)], FAMILY[draw // 1_000 % len(FAMILY)]
    return f"{given} {family}", f"{latin(given)}.{latin(family)}"
