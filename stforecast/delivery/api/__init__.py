"""The service: questions about the newest grid of the store, answered from memory over HTTP."""
