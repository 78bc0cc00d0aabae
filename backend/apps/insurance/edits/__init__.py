"""The edits, one small rule each: what a claim must be before it is queued; without them payers proof-read for us."""

from backend.apps.insurance.edits.rules import Context, Finding, On, Rule, Severity
from backend.apps.insurance.edits.scrubbing import REGISTRY, is_clean, scrub

__all__ = ["REGISTRY", "Context", "Finding", "On", "Rule", "Severity", "is_clean", "scrub"]
