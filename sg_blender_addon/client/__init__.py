"""The add-on's half of the wire: backend environment, backend process, HTTP calls, job handles.

Standard library, numpy and requests only; nothing here knows bpy, so everything here runs and is tested without Blender.
"""
