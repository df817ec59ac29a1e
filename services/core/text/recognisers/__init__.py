"""One recogniser per file: each gives spans of personal data in a text and knows nothing of placeholders."""
