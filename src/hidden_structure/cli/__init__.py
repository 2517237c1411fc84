"""The command `hidden-structure`: begin a study, choose one, keep edits, print the schema of params.yaml."""
