"""The doors to clearinghouses; without this package claims could be written but not handed over."""
