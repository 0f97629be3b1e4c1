def demo(out: str="demo") -> int:
    """See it."""
    return 0
