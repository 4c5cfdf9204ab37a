"""What a run leaves behind: tables, ledger, summary; ``cosim.results.reader.load`` reads it back."""
