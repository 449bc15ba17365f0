"""Share requests (共享申请): a department asks for a resource, and somebody answers in time or is named."""
