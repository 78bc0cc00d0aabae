"""The shape of every resource type we write, one module each."""
