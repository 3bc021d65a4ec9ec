"""What people type: one rule for texts, one for mail addresses, and the form fields that apply them."""
