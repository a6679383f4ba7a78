"""gatekeeper decides whether a model trained on sensitive images may be released.

The program is an argument; each stage adds one typed fact, and the gate reads facts only:

    policy.yaml → Policy, candidate.yaml → Candidate                         (config)
    data → Dataset of units + DatasetCard                                    (data)
    Budget → Mechanism that is planned                                       (privacy.calibrate)
    Dataset + plan → network + the Mechanism that ran                        (training)
    network → model.onnx                                                     (export)
    model.onnx + test units → UtilityReport                                  (evaluation)
    Mechanism → Guarantee, RiskBounds                                        (privacy.account, audit.bounds)
    units + Mechanism → AttackReport                                         (audit.attacks)
    Policy + every fact → Approval | Refusal | Inconclusive                  (gate)
    Approval + model.onnx → a signed release that has verified itself        (signing)

Stages never import stages: they meet in the nouns of `core` and in `pipeline`, which composes them.
"""

from gatekeeper.version import __version__

__all__ = ["__version__"]
