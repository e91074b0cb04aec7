"""The matrix of real AWS clients in injected pods. README.md says what it is made of."""
