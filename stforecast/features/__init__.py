"""What learned forecasters read of the record before an issue time."""
