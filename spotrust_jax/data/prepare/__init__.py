"""From labelled photographs of any tool to a data set: readers, audit, splits."""
