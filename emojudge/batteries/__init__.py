"""What a model must pass beyond its score. ONE BATTERY = ONE FILE: correctness, fairness, robustness.

After the tests of Derington et al., "Testing Correctness, Fairness, and Robustness of Speech Emotion Recognition Models"
(https://arxiv.org/abs/2312.06270), whose suite cannot be installed; code and simulations are ours. A result is a row:

    battery, task, system    what was tested of which system
    test, group, class       "uar_difference", "gender: female", and the emotion or attribute it is of
    value, low, high         with the interval when speakers are drawn anew, where there is one
    threshold, sense         "least", "most", or "within" (of zero); none where a figure is only told
    passed                   null where there is no threshold, or nothing to compare
    n                        clips
"""

BATTERIES = ("correctness", "fairness", "robustness")
"""In the order of what they cost."""
