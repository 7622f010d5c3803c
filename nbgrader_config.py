"""nbgrader reads this file: source = solutions/, release = exercises/, and grading goes through the trust boundary."""

from autograde.gradebook.plugin import configure

configure(get_config())  # noqa: F821 - nbgrader defines it
