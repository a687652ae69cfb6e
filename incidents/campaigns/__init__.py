"""What belongs together: evidence, partition and words are pure; the database part is beside it."""
