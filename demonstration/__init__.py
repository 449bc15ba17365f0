"""The demonstration: a fictional city, and the main job told as it runs. Not imported by anything below."""
