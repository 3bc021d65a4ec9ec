"""The saga as tables and drawings: who states what, who hears it, and the questions that apps ask one another."""
