"""Files on disk: run directories, tensors with JSON headers, atomic writes, and facts of the machine."""
