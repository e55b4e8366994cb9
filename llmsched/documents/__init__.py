"""Documents in and out: strict reading, and the schema of each."""
