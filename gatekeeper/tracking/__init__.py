"""Tells a tracking server of judged runs: what may be told, in which order, and what it is found again by.

`server` speaks to MLflow and is the only home of its client; `recording` says what is done with any server. What is
told is made elsewhere, from facts; the only files that are copied are those of a verified release.
"""
