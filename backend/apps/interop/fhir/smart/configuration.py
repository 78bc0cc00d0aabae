"""What a system must know before it signs in; without it each would have to be told by hand."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from backend.apps.interop.fhir.smart.keys import ALGORITHMS
from backend.apps.interop.fhir.smart.scopes import OURS


def token_url() -> str:
    return f"{settings.PUBLIC_BASE_URL}/fhir/token"


def described() -> dict[str, Any]:
    """Return the document of SMART App Launch 2.2, "Conformance": what stands at .well-known/smart-configuration."""
    return {
        "token_endpoint": token_url(),
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": ["system/*.rs", "system/*.read", *(f"system/{name}.rs" for name in sorted(OURS))],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }
