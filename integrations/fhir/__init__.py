"""FHIR R4 as the outside speaks it: the shape of each resource, written from rows of text without a model between."""
