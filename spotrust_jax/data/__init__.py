"""Photographs with labels: reading, the embedded scenes, batches and augmentation."""

import logging

# With jaxlib before 0.11 grain warns on import that workers cannot be profiled, which nobody wants to know.
logging.getLogger("absl").addFilter(lambda record: "Grain multiprocess worker profiling" not in str(record.msg))
