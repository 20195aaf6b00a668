"""Looking into a publisher's files: which column is what, and the configuration that follows from it."""
