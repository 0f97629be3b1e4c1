"""Which algorithm for which table: a policy that has learned it from scores on other tables."""
