"""The other side of the wire, for tests and demo: it knows X12 by readers of others and templates of its own.

Nothing here imports our reader or writer, and nothing outside imports this but `integrations.x12.fake`: what we write
is then judged by somebody else. The libraries it needs are installed for development only.
"""
