"""The command line; without it a person would have to start six processes and two servers by hand."""
