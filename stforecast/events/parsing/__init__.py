"""Texts of dates, times and numbers → values, once a distinct text."""
