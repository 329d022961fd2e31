"""CloudEvents 1.0, read strictly by the text of the specification (v1.0.2), and written."""
