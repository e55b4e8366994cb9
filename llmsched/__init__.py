"""llmsched: benchmark and plan LLM inference schedules without a GPU."""

__version__ = "0.1.0"
