"""Values between two processes: `wire` packs them, `student` asks, `agent` answers, `kernel` is where it runs."""
