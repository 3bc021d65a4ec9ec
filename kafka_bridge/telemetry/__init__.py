"""What does a process note about itself while it works? Counted in memory, at no cost worth naming; read by others."""
