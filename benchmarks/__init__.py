"""Programs that show each number asked for, as a ratio against a floor measured in the same run."""
