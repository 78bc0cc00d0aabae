"""Partners behind real sockets of this machine, for tests and the demo; whatever works for patients has others."""
