"""Learner generators on whole tables: what they write, and how good it is beside others."""
