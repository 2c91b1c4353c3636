"""From a recording to words with times and audio features."""
