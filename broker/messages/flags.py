"""Words with which a flag begins that weighs more, or less, than others: for whoever raises or hears one."""

ALARM = "alarm: "
"""Somebody has to look at it now: hardware that is armed does not do what it must."""

OVER = "over: "
"""What was an alarm is none any more."""
