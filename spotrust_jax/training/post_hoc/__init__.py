"""Last layers fitted to trained deterministic networks, on features that are computed once."""
