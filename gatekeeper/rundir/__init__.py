"""A run directory: which file holds which fact, written in one step each, readable by its owner alone.

```
<runs>/<run id>/            mode 0700
  policy.json               the policy, canonical
  candidate.json            the candidate, canonical
  salt                      32 random bytes of the data commitment; never leaves
  model.onnx                the judged file; leaves only by an approval
  planned.json              what the run is about to take of its data
  identities.json           by what names its units are known; private
  permit.json               that the ledger has counted the run
  training/                 what the training goes on from after an interruption; gone once there is evidence
  evidence.json             what the private part yielded
  ledger.json               what the ledger says of the units, this run included
  forecast.json             what the run would be (dry runs)
  non-private.json          what a training without privacy reached; no verdict can follow
  failure.json              why the private part stopped, if it did
  judgement.json            facts and verdict
  audit-only                there if the run is never to be signed
  reused                    there if the evidence was taken from a cache
  seal                      an authentication code over policy, candidate, evidence, ledger.json and model, if asked for
  lock                      held while a process works here
```
"""

from gatekeeper.core.judgement import FAILURE_EXIT_CODES, Failure, Judgement
from gatekeeper.rundir.folder import disk_errors, write_atomically
from gatekeeper.rundir.listing import list_runs, prunable
from gatekeeper.rundir.run import AUDIT_ONLY, REUSED, SEAL, RunDirectory

__all__ = [
    "AUDIT_ONLY",
    "FAILURE_EXIT_CODES",
    "REUSED",
    "SEAL",
    "Failure",
    "Judgement",
    "RunDirectory",
    "disk_errors",
    "list_runs",
    "prunable",
    "write_atomically",
]
