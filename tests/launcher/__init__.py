"""Tests of what runs the system: real processes, real servers, no Django."""
