"""The reference: one short module per lesson, the right answer that hidden tests compare with."""
