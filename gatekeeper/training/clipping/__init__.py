"""Per-unit gradient clipping."""
