"""The pharmacy's tables, by theme; without this the app's models would be found nowhere."""

from backend.apps.prescriptions.models.medications import DrugClass, Medication, Schedule
from backend.apps.prescriptions.models.prescriptions import Prescription, PrescriptionStatus, Route
from backend.apps.prescriptions.models.refills import PrescriptionRefill, RefillStatus

__all__ = [
    "DrugClass",
    "Medication",
    "Prescription",
    "PrescriptionRefill",
    "PrescriptionStatus",
    "RefillStatus",
    "Route",
    "Schedule",
]
