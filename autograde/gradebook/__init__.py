"""The side of nbgrader: its plug-in, the repair of what was handed in, courses, tables, exports."""
