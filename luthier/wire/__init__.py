"""The wire: Clarifai's V2 messages and our own few beside them. Next: `methods` for the table of every call."""
