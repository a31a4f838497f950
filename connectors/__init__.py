"""What comes in: the Kafka micro-batch source, the topics, and the sources that publish to them."""
