"""Physics engines that replace the built-in dynamics of the body."""
