"""The mailbox, against the real Dovecot and an SMTP server that really listens."""
