"""The gate: policy and facts in, verdict out. Pure, and standard library only.

It looks at every rule, in the policy's order, and never stops at the first that fails: whoever is refused
needs all the reasons. What can't be judged (a control that failed, too few units, a number that is not
one) is inconclusive, never passed. Tightening any limit never turns a refusal into an approval.
"""

from gatekeeper.gate.decision import decide
from gatekeeper.gate.rejudging import decide_again

__all__ = ["decide", "decide_again"]
