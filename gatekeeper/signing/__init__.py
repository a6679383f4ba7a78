"""Signed releases: written from an approval, read back without trusting them.

From the innermost layer out:

- `keys`: P-256 key pairs and their fingerprints.
- `remote_keys`: keys that never leave their device or service.
- `certificates`: keys whose owner and validity X.509 certificates say.
- `statements`: in-toto statements: who is spoken of, and what is said.
- `dsse`: the signed envelope around a statement, as a Sigstore bundle.
- `model_signature`: the statement about every file of a model directory (OpenSSF Model Signing 1.0).
- `files`: how a directory that somebody else may have written is read.
- `layout`: which file of a release is called what.
- `predicates`, `provenance`, `bom`: what the certificate's facts are called in the forms of others.
- `attestations`: each of those with its name and type, and how all are signed.
- `guide`, `side_files`: what lies beside them; `additions`: what may be added afterwards.
- `comparison`: where a signed predicate is not what follows from the certificate.
- `refusals`: that a run did not pass, said without naming its model.
- `verification`: the numbered steps that a release must pass.
- `timestamps` (with `timestamp_check`, `timestamp_query`): by when all signatures existed, by somebody else's clock.
- `release`: an approval and a model become a release that has passed them.
"""
