"""Writes and reads X12 005010 for clearinghouses and payers. Everything here works on bytes and text alone."""
