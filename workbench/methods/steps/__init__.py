"""Rules that teach a student to take large steps along the teacher's trajectory."""
