"""The pages, one module per family: authorise, validate, one call of the runner, render."""
