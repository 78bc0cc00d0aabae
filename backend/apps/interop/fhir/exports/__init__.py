"""Bulk export as it is asked for, watched and fetched; the workers that write the files are in `workers.fhir`."""
