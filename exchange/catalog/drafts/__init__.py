"""The way of a resource into the catalogue: drafted, reviewed, published, retired."""
