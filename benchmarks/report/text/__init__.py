"""Words of the report: footnotes, caveats, commands, provenance."""
