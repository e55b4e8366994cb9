"""Checks on results: against schedules that a real engine recorded, and by an independent reader."""
