"""The one door through which every message comes in: all of its checks stand before any handler.

`broker.door.admission` holds their order; `broker.door.bounds` what the composition of a run says that they
are held against.
"""
