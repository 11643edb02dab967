"""One self-contained page from run folders; each section is one file and one template."""
