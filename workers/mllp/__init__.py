"""The parts of the door for lab feeds; `workers.mllp_listener` puts them together."""
