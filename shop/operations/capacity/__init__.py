"""How big must the shop be for a rate of orders? Public: `cost.read`, `plan.make`, and `sentences.of`."""
