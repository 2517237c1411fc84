"""What holds the house together and changes no number: parameters, files, errors, progress. It imports only itself."""
