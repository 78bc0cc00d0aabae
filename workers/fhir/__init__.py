"""How a bulk export is carried out: one state of the database, pieces of it, files, and the end."""
