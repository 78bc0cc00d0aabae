"""Tests of what an operator deploys, without a container engine."""
