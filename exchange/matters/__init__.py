"""Service matters (政务服务事项): what they ask for, and what can take the place of each paper."""
