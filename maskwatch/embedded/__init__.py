"""The embedded stack: a real Kafka, a real Valkey and every stage on one machine, under one supervisor."""
