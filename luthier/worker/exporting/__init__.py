"""What an export is made of: `frozen` reads a version, `archive` is the ZIP file, one module per format writes."""
