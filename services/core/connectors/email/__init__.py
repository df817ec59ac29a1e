"""E-mail: a mailbox read by IMAP, hand-overs and answers sent by SMTP. A ticket is a thread."""
