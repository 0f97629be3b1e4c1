"""The command line: one file a command, and the options read from what they configure."""
