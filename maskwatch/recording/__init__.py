"""Recordings: Kafka records in one compact file that can be replayed, attached to a bug report, or read without us.

The file is MCAP (https://mcap.dev): one channel a topic, each message a msgpack map of what Kafka keeps of a record
(:data:`maskwatch.recording.format.SCHEMA`), in chunks that are compressed with zstd and carry a checksum. Chunks are
given to the system as soon as they are full, so that a writer that is killed leaves all but its last one; a file that
is cut off is read up to the cut. What is in a whole file stands at its end, so that asking costs no reading
(:func:`maskwatch.recording.reading.summary`). Nothing in here knows Kafka.
"""
