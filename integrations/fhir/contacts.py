"""How a practice, a payer or a place is reached; written once, for four resources say it alike."""

from __future__ import annotations

from integrations.fhir.holes import If, Text, Tree

ADDRESS: Tree = If(
    "has_address",
    {
        "use": "work",
        "line": [Text("line1"), Text("line2")],
        "city": Text("city"),
        "state": Text("state"),
        "postalCode": Text("postal_code"),
        "country": "US",
    },
)
PHONE: Tree = If("phone", {"system": "phone", "value": Text("phone"), "use": "work"})
FAX: Tree = If("fax", {"system": "fax", "value": Text("fax"), "use": "work"})
EMAIL: Tree = If("email", {"system": "email", "value": Text("email"), "use": "work"})
