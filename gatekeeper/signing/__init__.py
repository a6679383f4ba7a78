"""Signed releases: written from an approval, read back without trusting them.

From the innermost layer out:

- `keys`: P-256 key pairs and their fingerprints.
- `remote_keys`: keys that never leave their device or service.
- `certificates`: keys whose owner and validity X.509 certificates say.
- `statements`: what is said of a model, as in-toto statements.
- `dsse`: the signed envelope around a statement, as a Sigstore bundle.
- `model_signature`: the statement about every file of a model directory (OpenSSF Model Signing 1.0).
- `files`: how a directory that somebody else may have written is read.
- `layout`: which file of a release is called what.
- `verification`: the numbered steps that a release must pass.
- `timestamps` (with `timestamp_check`, `timestamp_query`): by when all signatures existed, by somebody else's clock.
- `release`: an approval and a model become a release that has passed them.
"""
