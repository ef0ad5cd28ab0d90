"""A plug-in that cannot be imported: it must be listed with its reason and break nothing."""

raise RuntimeError("this plug-in needs a library that is not there")
