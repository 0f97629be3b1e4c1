"""Differentiable solvers for the inner problem. They know nothing of tasks."""
