"""Any folder of images: its tree, its layout, its labels, and how it was read, in words."""
