"""What a run leaves behind: one folder, written as it goes, readable at any time, complete after a crash."""
