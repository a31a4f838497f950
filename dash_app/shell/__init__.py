"""What is around every page: header, notices, the tick, and which page the address names."""
