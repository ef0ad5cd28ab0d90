"""The document as HTML, Markdown, LaTeX and SVG."""
