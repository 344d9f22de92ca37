"""One file, one way to write down what is said."""
