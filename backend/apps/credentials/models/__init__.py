"""The tables of the watch over credentials under one name, so that other apps write `credentials.models`."""

from backend.apps.credentials.models.alerts import Audience, ClosedBecause, CredentialAlert, CredentialNotice
from backend.apps.credentials.models.overrides import LONGEST_OVERRIDE, CredentialOverride
from backend.apps.credentials.models.policies import CredentialPolicy, CredentialRules, Needed
from backend.apps.credentials.models.registries import RegistryCheck, RegistryOutcome, RegistrySource

__all__ = [
    "LONGEST_OVERRIDE", "Audience", "ClosedBecause", "CredentialAlert", "CredentialNotice", "CredentialOverride",
    "CredentialPolicy", "CredentialRules", "Needed", "RegistryCheck", "RegistryOutcome", "RegistrySource",
]  # fmt: skip
