"""Meta-test and its honest statistics: scores, intervals, calibration, cross-validation."""
