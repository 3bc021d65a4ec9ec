"""From the cart to a placed order: price and stock check, the form, how to pay, the page and the JSON interface."""
