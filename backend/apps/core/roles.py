"""The seven roles, so that permission tables and models share one spelling."""

from django.db import models


class Role(models.TextChoices):
    ADMIN = "admin", "Administrator"
    DOCTOR = "doctor", "Doctor"
    PATIENT = "patient", "Patient"
    NURSE = "nurse", "Nurse"
    RECEPTIONIST = "receptionist", "Receptionist"
    LAB_TECH = "lab_tech", "Laboratory technician"
    PHARMACIST = "pharmacist", "Pharmacist"


STAFF = frozenset(Role.values) - {Role.PATIENT.value}
