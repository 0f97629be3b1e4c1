"""Meta-training: settings, the outer loop, what it will cost, and how it ends."""
