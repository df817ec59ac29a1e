"""Prompt texts, one file per task and version. A version that ran in production is never edited: add the next one."""
