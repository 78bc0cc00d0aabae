"""The tables of billing under one name, so that other apps write `insurance.models`."""

from backend.apps.insurance.models.claims import InsuranceClaim
from backend.apps.insurance.models.coverage import PatientInsurance
from backend.apps.insurance.models.payers import InsurancePlan, InsuranceProvider

__all__ = ["InsuranceClaim", "InsurancePlan", "InsuranceProvider", "PatientInsurance"]
