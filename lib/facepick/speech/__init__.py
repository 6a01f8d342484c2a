"""Speech: lines, subtitle files, times of phones, voices, and the mouths that sounds ask for."""
