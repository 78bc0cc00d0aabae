"""Who may read and settle what registries say of the staff; without it everybody is denied."""

from backend.apps.core.permissions import READ, Table, allow

REGISTRY_CHECK: Table = allow((*READ, "settle"))
