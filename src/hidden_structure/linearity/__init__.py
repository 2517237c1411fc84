"""Layerwise linear feature connectivity: every layer along the line, its two conditions, stitching."""
