"""Functions of one task, applied to many: the only place that knows there are several."""
