"""Sums of clipped per-unit gradients, at about the price of an ordinary gradient.

    network → recorded (layers report shares) → clip (factors) → sums of blocks (float32) → totals (whole numbers)

Each layer's backward pass yields the input's gradient and a *share*: what the layer contributes to each unit's
gradient, with limits of its norm and of how much it can disturb a float32 sum. When all layers have reported, the clip
factors are known, and each layer's clipped sum is formed once. So there is one forward and one backward pass, and no
gradient of a weight is formed in vain ("book-keeping": Bu, Wang, Zha and Karypis 2023).

`rounding` says what float32 sums may add to a unit's contribution, and `isolation` checks that a unit's share does not
depend on its companions. Read `shares`, then `layers/linear`, then `engine`.
"""
