"""How often may visitors do what? And who is one visitor?"""
