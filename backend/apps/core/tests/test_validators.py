"""Holds the identifiers every app checks: phone numbers, NPI, Luhn, languages, days."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from backend.apps.core.models import validate_time_zone
from backend.apps.core.validators import luhn_ok, validate_language, validate_not_future, validate_npi, validate_phone

WIDE_NPI = "\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff13"
WIDE_PHONE = "+\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff10\uff10"


@pytest.mark.parametrize("digits", ["79927398713", "4111111111111111", "808401234567893", "0", "00"])
def test_luhn_accepts_a_right_check_digit(digits: str) -> None:
    assert luhn_ok(digits)


@pytest.mark.parametrize("last", [digit for digit in "0123456789" if digit != "3"])
def test_luhn_refuses_every_other_check_digit(last: str) -> None:
    assert not luhn_ok("7992739871" + last)


def test_luhn_sees_two_neighbours_that_changed_places() -> None:
    assert luhn_ok("79927398713")
    assert not luhn_ok("79927389713")


@pytest.mark.parametrize("npi", ["1234567893", "1245319599", "2000000002"])
def test_an_npi_is_accepted(npi: str) -> None:
    validate_npi(npi)


@pytest.mark.parametrize(
    "npi",
    [
        "1234567890",
        "123456789",
        "12345678933",
        "3234567891",
        "0234567898",
        "123456789a",
        "",
        " 1234567893",
        WIDE_NPI,
    ],
)
def test_anything_else_is_no_npi(npi: str) -> None:
    with pytest.raises(ValidationError):
        validate_npi(npi)


@pytest.mark.parametrize("phone", ["+14155550100", "+442071838750", "+4930123456", "+61291234567"])
def test_a_phone_number_in_e164_is_accepted(phone: str) -> None:
    validate_phone(phone)


@pytest.mark.parametrize(
    "phone",
    [
        "4155550100", "+1 415 555 0100", "+1-415-555-0100", "(415) 555-0100", "tel:+14155550100", "+1415555", "+", "",
        "+14155550100;ext=5", "+999999999999999999", "+14155550100\n", "+0014155550100", WIDE_PHONE,
    ],
)  # fmt: skip
def test_any_other_way_to_write_a_phone_number_is_refused(phone: str) -> None:
    with pytest.raises(ValidationError):
        validate_phone(phone)


@pytest.mark.parametrize("tag", ["en", "pt-BR", "zh-Hant-TW", "haw"])
def test_a_language_tag_is_accepted(tag: str) -> None:
    validate_language(tag)


@pytest.mark.parametrize("tag", ["", "EN", "english", "en_US", "e", "en-", "en\n", 5, None])
def test_anything_else_is_no_language(tag: object) -> None:
    with pytest.raises(ValidationError):
        validate_language(tag)  # type: ignore[arg-type]  # what a JSON body may hold


def test_a_day_that_has_not_come_is_refused_with_grace_for_zones_ahead() -> None:
    today = timezone.now().date()
    validate_not_future(today + timedelta(days=1))
    with pytest.raises(ValidationError):
        validate_not_future(today + timedelta(days=2))


def test_a_time_zone_is_one_of_the_known_names() -> None:
    validate_time_zone("America/New_York")
    for name in ("EST5", "../../etc/passwd", "america/new_york", ""):
        with pytest.raises(ValidationError):
            validate_time_zone(name)


@pytest.mark.parametrize("check", [validate_npi, validate_phone, validate_language])
def test_a_refusal_does_not_repeat_the_value(check: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        check("5553219876x")  # type: ignore[operator]  # one of the three above
    assert "5553219876" not in str(refusal.value)
