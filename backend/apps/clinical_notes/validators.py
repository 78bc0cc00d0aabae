"""Checks of what clinicians type: without them a temperature in °F or a weight in pounds becomes a wrong chart."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible

MOST_ATTACHMENTS = 20
ATTACHMENT_KEYS = {"name": 200, "reference": 300, "content_type": 100}  # key -> longest value

# The least and the most that is written down of a living patient, in the unit we store, and what to say otherwise.
LIMITS: dict[str, tuple[Decimal, Decimal, str]] = {
    "temperature": (Decimal(20), Decimal(45), "The temperature is in °C, 20 to 45; 98.6 °F is 37.0 °C."),
    "blood_pressure_systolic": (Decimal(30), Decimal(350), "Systolic pressure is in mmHg, 30 to 350."),
    "blood_pressure_diastolic": (Decimal(10), Decimal(250), "Diastolic pressure is in mmHg, 10 to 250."),
    "heart_rate": (Decimal(10), Decimal(350), "The heart rate is in beats a minute, 10 to 350."),
    "respiratory_rate": (Decimal(2), Decimal(120), "The respiratory rate is in breaths a minute, 2 to 120."),
    "oxygen_saturation": (Decimal(20), Decimal(100), "Oxygen saturation is in percent, 20 to 100."),
    "weight": (Decimal("0.2"), Decimal(650), "The weight is in kg, 0.2 to 650; 150 lb is 68.04 kg."),
    "height": (Decimal(20), Decimal(275), "The height is in cm, 20 to 275; 5 ft 10 in is 177.8 cm."),
}
BMI_LIMITS = (5, 130)
BMI_SENTENCE = "Weight and height do not fit each other: the weight is in kg and the height in cm."
PRESSURE_SENTENCE = "Blood pressure is two numbers, the systolic one above the diastolic one."


@deconstructible
class Measured:
    """Accept a vital sign between its limits; say the unit otherwise."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, value: Any) -> None:
        least, most, sentence = LIMITS[self.name]
        if not least <= value <= most:
            raise ValidationError(sentence, code="measure")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Measured) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)


def validate_attachments(value: Any) -> None:
    """Accept a list of references to stored files: [{"name", "reference", "content_type"}], never the bytes."""
    if not isinstance(value, list) or len(value) > MOST_ATTACHMENTS:
        raise ValidationError(f"Write a list of at most {MOST_ATTACHMENTS} attachments.", code="shape")
    for item in value:
        if not isinstance(item, dict) or not {"name", "reference"} <= set(item) <= set(ATTACHMENT_KEYS):
            raise ValidationError("An attachment has a name, a reference and perhaps a content_type.", code="shape")
        if not all(isinstance(text, str) and 0 < len(text) <= ATTACHMENT_KEYS[key] for key, text in item.items()):
            raise ValidationError("Every part of an attachment is a short text.", code="shape")
        _validate_reference(item["reference"])


def _validate_reference(reference: str) -> None:
    """Refuse what leaves our own storage: addresses, absolute paths, climbing paths."""
    parts = reference.split("/")
    if ":" in reference or "\\" in reference or not reference.isprintable() or {"", ".", ".."} & set(parts):
        raise ValidationError("A reference names a file in our own storage, as notes/2026/scan.pdf.", code="reference")
