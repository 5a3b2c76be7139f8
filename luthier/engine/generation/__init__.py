"""Models that write texts. Begin with `wording`: how a text becomes tokens. Then `decoder` and `writing`."""
