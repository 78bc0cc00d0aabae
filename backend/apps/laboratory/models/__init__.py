"""The laboratory's tables, by theme; without this the app's models would be found nowhere."""

from backend.apps.laboratory.models.catalog import CodeSystem, LabTest, SpecimenType, TestCategory
from backend.apps.laboratory.models.inbound import InboundMessage, InboundStatus
from backend.apps.laboratory.models.orders import FillerNumber, LabOrder, OrderPriority, OrderStatus
from backend.apps.laboratory.models.results import AbnormalFlag, LabResult, ResultStatus

__all__ = [
    "AbnormalFlag",
    "CodeSystem",
    "FillerNumber",
    "InboundMessage",
    "InboundStatus",
    "LabOrder",
    "LabResult",
    "LabTest",
    "OrderPriority",
    "OrderStatus",
    "ResultStatus",
    "SpecimenType",
    "TestCategory",
]
