"""Pictures of motion without a GPU: the solid figure, close-ups, sheets, the gallery."""
