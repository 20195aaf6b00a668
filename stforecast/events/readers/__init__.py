"""A publisher's file of any format → chunks of text with one column a field."""
