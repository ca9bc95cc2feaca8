"""`bitladder compress`: from a person's file to a small model, in a project of its own."""
