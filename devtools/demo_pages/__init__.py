"""Pages that only a running demo has: experiments, and breaking its parts; `devtools/demo_control` does it."""
