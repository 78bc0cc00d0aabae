"""The laboratory's tables, by theme; without this the app's models would be found nowhere."""

from backend.apps.laboratory.models.catalog import CodeSystem, LabTest, SpecimenType, TestCategory
from backend.apps.laboratory.models.feeds import AckMode, AdtPolicy, LabFeed, MatchPolicy, OrderMessage
from backend.apps.laboratory.models.inbound import InboundMessage, InboundStatus
from backend.apps.laboratory.models.orders import FillerNumber, LabOrder, OrderPriority, OrderStatus
from backend.apps.laboratory.models.results import AbnormalFlag, LabResult, ResultStatus

__all__ = [
    "AbnormalFlag",
    "AckMode",
    "AdtPolicy",
    "CodeSystem",
    "FillerNumber",
    "InboundMessage",
    "InboundStatus",
    "LabFeed",
    "LabOrder",
    "LabResult",
    "LabTest",
    "MatchPolicy",
    "OrderMessage",
    "OrderPriority",
    "OrderStatus",
    "ResultStatus",
    "SpecimenType",
    "TestCategory",
]
