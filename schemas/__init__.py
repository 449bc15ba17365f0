"""JSON Schemas and other data that differ from city to city: registers, data resources, licence types. No code."""
