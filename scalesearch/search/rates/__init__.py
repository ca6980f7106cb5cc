"""The learning rate of a study: measured before the search, halved once where a training diverges."""
