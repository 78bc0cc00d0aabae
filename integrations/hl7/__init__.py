"""Speaks HL7 v2 to laboratories: framing, reading, acknowledging. Everything here works on bytes and text alone."""
