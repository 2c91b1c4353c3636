"""Bringing one's own motion: BVH folders and SeG downloads become a gesture library like ours."""
