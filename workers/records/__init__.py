"""Translates between the clinic's words (`backend`) and the protocols' (`integrations`)."""
