"""From a submission to a verdict: the sandbox it runs in, the worker that asks it, the report of what came."""
