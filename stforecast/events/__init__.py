"""Publisher's files → `EventTable` (bronze → silver)."""
