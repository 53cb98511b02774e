import pytest

pytest.importorskip("phonenumbers")
pytest.importorskip("stdnum")

from finetune.data.privacy import PrivacyFilter
from finetune.errors import ConfigError

FILTER = PrivacyFilter(region="US")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to jane.doe+x@mail.example.org.", "Write to [EMAIL]."),
        ("<a@b.de>, (C@D.COM)", "<[EMAIL]>, ([EMAIL])"),
        ("Call +49 30 901820 today", "Call [PHONE] today"),
        ("Call (650) 253-0000 today", "Call [PHONE] today"),
        ("IBAN DE89 3704 0044 0532 0130 00 BIC", "IBAN [IBAN] BIC"),
        ("GB82WEST12345698765432", "[IBAN]"),
        ("Card 4111 1111 1111 1111, exp. 12/30", "Card [CARD], exp. 12/30"),
        ("378282246310005", "[CARD]"),
        ("SSN 536-90-4399.", "SSN [SSN]."),
        ("from 8.8.8.8 and 2001:4860:4860::8888", "from [IP] and [IP]"),
        ("key sk-abcdefghijklmnopqrstuvwx0123", "key [KEY]"),
        ("ghp_" + "a1" * 20, "[KEY]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----.", "[KEY]."),
    ],
)
def test_what_is_personal_is_masked(text: str, masked: str) -> None:
    assert FILTER.mask(text)[0] == masked


@pytest.mark.parametrize(
    "text",
    [
        "The limit is 140 euros; order 4111 1111 1111 1112 is late.",  # a wrong check digit
        "DE88 3704 0044 0532 0130 00",
        "Section 10.3.1.2 and version 1.2.3.4 of the handbook, by bowtie2/2.3.3.1",
        "127.0.0.1 and 999.1.1.1 and 1.2.3",
        "On 2026-11-29 at 10:40:12, pages 100-101, room 12::",
        "ISBN 978-3-16-148410-0, 12 345 678.90",
        "a @ b, user@host, @name, C++20",
        "000-12-3456 and 666-12-3456",
        "sk-short and a task-based-approach-to-something-long",
        "0000 0000 0000 0000",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert FILTER.mask(text) == (text, {})


def test_without_a_region_only_numbers_with_a_country_code_are_found() -> None:
    plain = PrivacyFilter()
    assert plain.mask("(650) 253-0000 or +1 650 253 0000")[0] == "(650) 253-0000 or [PHONE]"


def test_only_the_kinds_that_are_asked_for_are_found() -> None:
    masked, found = PrivacyFilter(["ip"]).mask("a@b.de at 8.8.8.8 and 8.8.4.4")
    assert masked == "a@b.de at [IP] and [IP]"
    assert found == {"ip": 2}


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(ConfigError, match="'XX' is no region"):
        PrivacyFilter(region="XX")
