"""One file per step of the database, in the order of their down_revision."""
