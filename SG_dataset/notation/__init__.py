"""What a gesture file says: its language, landmarks, hand shapes and records."""
