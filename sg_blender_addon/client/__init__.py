"""The add-on's half of the wire: backend environment, backend process, HTTP calls, job handles.

Standard library, numpy and requests only; nothing here knows bpy, so all of it runs and is tested without Blender.
"""
