"""The market's services on the bus, a room each: prosumers, LAM operators, WAM operator and auditor.

What several rooms use stands in the files beside them, which import no room.
"""
