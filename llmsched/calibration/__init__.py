"""From measured steps or recorded runs to a profile, and how well it fits."""
