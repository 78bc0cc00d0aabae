"""The tables of the web door under one name: exports, the systems that may ask for them, who was told what."""

from backend.apps.interop.models.clients import SmartAssertion, SmartClient
from backend.apps.interop.models.disclosures import DisclosedPatient, Disclosure
from backend.apps.interop.models.exports import ChunkKind, ExportChunk, ExportFile, ExportJob, ExportLevel, ExportStatus
from backend.apps.interop.models.groups import PatientGroup, PatientGroupMember

__all__ = [
    "ChunkKind",
    "DisclosedPatient",
    "Disclosure",
    "ExportChunk",
    "ExportFile",
    "ExportJob",
    "ExportLevel",
    "ExportStatus",
    "PatientGroup",
    "PatientGroupMember",
    "SmartAssertion",
    "SmartClient",
]
