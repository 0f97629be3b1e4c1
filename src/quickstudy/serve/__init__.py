"""The server: tasks as resources over HTTP, kept in a database, and the page."""
