"""Recipes: settings of whole runs, as data."""
