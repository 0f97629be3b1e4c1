"""Fields that bring a source of tasks of their own; none imports another."""
