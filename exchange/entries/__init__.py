"""Lists that departments keep (dishonest persons, penalties): sent in, ended, and seen by who keeps the list."""
