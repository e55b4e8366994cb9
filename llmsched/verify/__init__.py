"""Checks on results: against schedules a real engine recorded, and by an independent reader."""
