"""What people decided, taught to the gates' filters: consent, orders, and what came of them."""
