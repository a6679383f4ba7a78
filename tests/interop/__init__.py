"""Programs that know nothing of gatekeeper, asked what they think of its releases."""
