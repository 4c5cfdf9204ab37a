"""Market services: prosumers, LAM operators and the WAM operator as participants on the bus."""
