"""SMART Backend Services: how systems sign in by a key of their own and what they may read."""
