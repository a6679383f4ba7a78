"""The only package that composes stages: each function is one step of the argument.

`planning` and `production` make the evidence, in a child process that has neither key nor passphrase;
`judgement` turns evidence into facts, a verdict and, on approval, a signed release; `verification` replays
the argument from the signed facts. Stages are imported where they are used: only production loads torch.
"""
