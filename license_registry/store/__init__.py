"""Where licences are kept: a folder, or any S3 server."""
