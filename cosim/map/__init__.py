"""The feeder on its map: what is known of each bus and segment, and the page's parts that draw it."""
