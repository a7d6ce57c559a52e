"""From corroded shares to the grades of standards: class limits, sets of grades, and what a picture cannot decide."""
