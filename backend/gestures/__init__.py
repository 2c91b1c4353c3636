"""From words to gestures: which word deserves which one, and when its phases lie."""
