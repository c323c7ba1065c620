"""Rules that match the distribution of a student's samples to the teacher's."""
