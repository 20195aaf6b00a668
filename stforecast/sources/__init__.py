"""Publisher → bronze: what is new at its publisher, as files in the publisher's own words, with a manifest."""
