"""What an order costs besides its books: shipping, tax and coupons, from rates that staff edit."""
