"""The tables of HR under one name, so that other apps write `employees.models`."""

from backend.apps.employees.models.balances import PtoEntry, TimeOffPolicy
from backend.apps.employees.models.credentials import CredentialType, EmployeeCredential, VerificationMethod
from backend.apps.employees.models.reviews import EmployeePerformanceReview
from backend.apps.employees.models.staff import Department, Employee
from backend.apps.employees.models.time_off import EmployeeTimeOff

__all__ = [
    "CredentialType", "Department", "Employee", "EmployeeCredential", "EmployeePerformanceReview", "EmployeeTimeOff",
    "PtoEntry", "TimeOffPolicy", "VerificationMethod",
]  # fmt: skip
