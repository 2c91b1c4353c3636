"""From notation to motion: body, arms, hands, collisions and timing."""
