"""Plans: for the slots of an engine, for replicas, for a batch file."""
