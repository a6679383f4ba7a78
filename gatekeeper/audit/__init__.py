"""What reconstruction attacks can achieve: proven bounds, calibrated thresholds, attacks with their controls.

`bounds` and what it imports need numpy and scipy.special alone, so that whoever verifies a release can
compute them again; everything that needs torch is in `attacks`.
"""
