"""Records in, page and tables out; never trains."""
