"""The visible check: run it, explain what came, show it. What it knows of a lesson is in `lessons/NN_topic`."""
