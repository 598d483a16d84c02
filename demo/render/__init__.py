"""Prediction -> what the page shows: HTML, plotly figures, heat maps. Pure functions.

Everything that a user wrote, and every name, is escaped before it becomes HTML. Pictures go into
the page as data, so a photo never gets a web address of its own, and they can have alt text.
"""
