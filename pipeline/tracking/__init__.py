"""MLflow, as a view of what the files say: published from records, read back for lineage and choice.

The only package that imports mlflow, and it does so inside functions: importing it takes seconds.
"""
