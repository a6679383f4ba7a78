"""Signed releases: written from an approval, read back without trusting them.

From the innermost layer out:

- `keys`: P-256 key pairs and their fingerprints.
- `statements`: what is said of a model, as in-toto statements.
- `dsse`: the signed envelope around a statement, as a Sigstore bundle.
- `model_signature`: the statement about every file of a model directory (OpenSSF Model Signing 1.0).
- `files`: how a directory that somebody else may have written is read.
- `layout`: which file of a release is called what.
- `verification`: the numbered steps that a release must pass.
- `release`: an approval and a model become a release that has passed them.
"""
