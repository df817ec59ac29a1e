"""Reports of estimates: for a terminal, a program, a spreadsheet, a page."""
