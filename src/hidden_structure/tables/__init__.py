"""What the report shows, taken out of what the stages computed: small tables that git keeps.

One module an idea, each with `tabulate(study, results)`: tables by name, each a list of rows.
"""
