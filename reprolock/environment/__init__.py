"""What a run is made of besides data: the code and, where they are locked, Python's packages and the jars.

In: a project's folder and its spec. Out: values that say what was found, and folders made from them.
"""
