"""What travels over HTTP: the bodies of requests and responses."""
