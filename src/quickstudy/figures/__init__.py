"""Figures for people, drawn from plain numbers: plots, bars, curves, and the report page."""
