"""How long exported model files take: interleaved timing on this host, tables and a report."""
