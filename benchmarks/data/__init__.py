"""Images in: data sets, where they come from, and how views are made of them."""
