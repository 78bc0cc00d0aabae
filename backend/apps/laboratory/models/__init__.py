"""The laboratory's tables, by theme; without this the app's models would be found nowhere."""

from backend.apps.laboratory.models.catalog import CodeSystem, LabTest, SpecimenType, TestCategory
from backend.apps.laboratory.models.critical import CriticalPage, CriticalPolicy, CriticalResult, CriticalStep
from backend.apps.laboratory.models.dropped import DroppedFinding
from backend.apps.laboratory.models.feeds import AckMode, AdtPolicy, LabFeed, MatchPolicy, OrderMessage
from backend.apps.laboratory.models.inbound import InboundMessage, InboundStatus
from backend.apps.laboratory.models.ledger import IntakeCount
from backend.apps.laboratory.models.mappings import LabCodeMapping
from backend.apps.laboratory.models.order_messages import LabOrderMessage, OrderControl, OrderMessageStatus
from backend.apps.laboratory.models.orders import FillerNumber, LabOrder, OrderPriority, OrderStatus
from backend.apps.laboratory.models.panels import ReportedPanel
from backend.apps.laboratory.models.replays import LabReplay, ReplayedMessage, ReplayStatus
from backend.apps.laboratory.models.restatements import Restatement
from backend.apps.laboratory.models.results import AbnormalFlag, LabResult, ResultStatus
from backend.apps.laboratory.models.rhythm import FeedRhythm
from backend.apps.laboratory.models.specimens import LabSpecimen

__all__ = [
    "AbnormalFlag",
    "AckMode",
    "AdtPolicy",
    "CodeSystem",
    "CriticalPage",
    "CriticalPolicy",
    "CriticalResult",
    "CriticalStep",
    "DroppedFinding",
    "FeedRhythm",
    "FillerNumber",
    "InboundMessage",
    "InboundStatus",
    "IntakeCount",
    "LabCodeMapping",
    "LabFeed",
    "LabOrder",
    "LabOrderMessage",
    "LabReplay",
    "LabResult",
    "LabSpecimen",
    "LabTest",
    "MatchPolicy",
    "OrderControl",
    "OrderMessage",
    "OrderMessageStatus",
    "OrderPriority",
    "OrderStatus",
    "ReplayStatus",
    "ReplayedMessage",
    "ReportedPanel",
    "Restatement",
    "ResultStatus",
    "SpecimenType",
    "TestCategory",
]
