"""Faces in photographs: finding them, and cutting them out so that eyes and mouth lie at fixed places."""
