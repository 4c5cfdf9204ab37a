"""Who speaks at the broker of a run, and the files of a broker that lets nobody else in."""
