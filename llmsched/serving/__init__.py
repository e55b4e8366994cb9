"""What runs inside a real server: its waiting requests in the order of a plan or of an order."""
