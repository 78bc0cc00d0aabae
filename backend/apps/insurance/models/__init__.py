"""The tables of billing under one name, so that other apps write `insurance.models`."""

from backend.apps.insurance.models.answers import AckEvent, InboundFile, Stage
from backend.apps.insurance.models.billing import BillingEntity, ReferringProvider, ServiceFacility
from backend.apps.insurance.models.claims import InsuranceClaim
from backend.apps.insurance.models.code_sets import Code, CodeSet
from backend.apps.insurance.models.coverage import PatientInsurance
from backend.apps.insurance.models.inquiries import EligibilityInquiry, StatusInquiry
from backend.apps.insurance.models.lines import ClaimLine, ClaimLineAdjudication, PriorAdjudication
from backend.apps.insurance.models.partners import ControlNumber, PartnerPayer, TradingPartner
from backend.apps.insurance.models.payers import InsurancePlan, InsuranceProvider
from backend.apps.insurance.models.remittances import (
    Deposit,
    Posting,
    ProviderAdjustment,
    Remittance,
    RemittanceClaim,
)
from backend.apps.insurance.models.submissions import Interchange, Submission

__all__ = [
    "AckEvent",
    "BillingEntity",
    "ClaimLine",
    "ClaimLineAdjudication",
    "Code",
    "CodeSet",
    "ControlNumber",
    "Deposit",
    "EligibilityInquiry",
    "InboundFile",
    "InsuranceClaim",
    "InsurancePlan",
    "InsuranceProvider",
    "Interchange",
    "PartnerPayer",
    "PatientInsurance",
    "Posting",
    "PriorAdjudication",
    "ProviderAdjustment",
    "ReferringProvider",
    "Remittance",
    "RemittanceClaim",
    "ServiceFacility",
    "Stage",
    "StatusInquiry",
    "Submission",
    "TradingPartner",
]
