"""Run directories, tensors with JSON headers, atomic writes, and facts of the machine."""
